"""Examples of requests and answers in JSON. `MODEL` stands for the model of the page."""

CHAT_ANSWER = """{
  "id": "chatcmpl-8f3a1c",
  "object": "chat.completion",
  "created": 1795265703,
  "model": "MODEL",
  "choices": [
    {
      "index": 0,
      "message": {"role": "assistant", "content": "Hello! What shall we build?"},
      "finish_reason": "stop"
    }
  ],
  "usage": {
    "prompt_tokens": 9,
    "completion_tokens": 8,
    "total_tokens": 17,
    "prompt_tokens_details": {"cached_tokens": 0}
  }
}"""

CHAT_STREAM = """{
  "model": "MODEL",
  "messages": [{"role": "user", "content": "Hello"}],
  "stream": true,
  "stream_options": {"include_usage": true}
}"""

CHAT_TOOLS = """{
  "model": "MODEL",
  "messages": [{"role": "user", "content": "Is it raining in Busan?"}],
  "tools": [
    {
      "type": "function",
      "function": {
        "name": "read_weather",
        "description": "The weather in a city at this moment",
        "parameters": {
          "type": "object",
          "properties": {"city": {"type": "string"}},
          "required": ["city"],
          "additionalProperties": false
        }
      }
    }
  ]
}"""

CHAT_SCHEMA = """{
  "model": "MODEL",
  "messages": [{"role": "user", "content": "Lee paid 12.50 for tea."}],
  "response_format": {
    "type": "json_schema",
    "json_schema": {
      "name": "receipt",
      "strict": true,
      "schema": {
        "type": "object",
        "properties": {"payer": {"type": "string"}, "amount": {"type": "number"}},
        "required": ["payer", "amount"],
        "additionalProperties": false
      }
    }
  }
}"""

CHAT_FORCED_TOOL = """{
  "model": "MODEL",
  "messages": [{"role": "user", "content": "Lee paid 12.50 for tea."}],
  "tools": [
    {
      "type": "function",
      "function": {
        "name": "note_receipt",
        "parameters": {
          "type": "object",
          "properties": {"payer": {"type": "string"}, "amount": {"type": "number"}},
          "required": ["payer", "amount"]
        }
      }
    }
  ],
  "tool_choice": {"type": "function", "function": {"name": "note_receipt"}}
}"""

RESPONSES_ANSWER = """{
  "id": "resp_5b20e7",
  "object": "response",
  "status": "completed",
  "model": "MODEL",
  "output": [
    {
      "type": "message",
      "role": "assistant",
      "content": [{"type": "output_text", "text": "Hello! What shall we build?", "annotations": []}]
    }
  ],
  "usage": {
    "input_tokens": 9,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens": 8,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 17
  }
}"""

RESPONSES_STREAM = """{
  "model": "MODEL",
  "input": "Hello",
  "stream": true
}"""

RESPONSES_TOOLS = """{
  "model": "MODEL",
  "input": "Is it raining in Busan?",
  "tools": [
    {
      "type": "function",
      "name": "read_weather",
      "description": "The weather in a city at this moment",
      "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": false
      },
      "strict": true
    }
  ]
}"""

RESPONSES_SCHEMA = """{
  "model": "MODEL",
  "input": "Lee paid 12.50 for tea.",
  "text": {
    "format": {
      "type": "json_schema",
      "name": "receipt",
      "strict": true,
      "schema": {
        "type": "object",
        "properties": {"payer": {"type": "string"}, "amount": {"type": "number"}},
        "required": ["payer", "amount"],
        "additionalProperties": false
      }
    }
  }
}"""

RESPONSES_FORCED_TOOL = """{
  "model": "MODEL",
  "input": "Lee paid 12.50 for tea.",
  "tools": [
    {
      "type": "function",
      "name": "note_receipt",
      "parameters": {
        "type": "object",
        "properties": {"payer": {"type": "string"}, "amount": {"type": "number"}},
        "required": ["payer", "amount"]
      }
    }
  ],
  "tool_choice": {"type": "function", "name": "note_receipt"}
}"""

MESSAGES_ANSWER = """{
  "id": "msg_01f4c9",
  "type": "message",
  "role": "assistant",
  "model": "MODEL",
  "content": [{"type": "text", "text": "Hello! What shall we build?"}],
  "stop_reason": "end_turn",
  "usage": {
    "input_tokens": 9,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 0,
    "output_tokens": 8
  }
}"""

MESSAGES_STREAM = """{
  "model": "MODEL",
  "max_tokens": 1024,
  "messages": [{"role": "user", "content": "Hello"}],
  "stream": true
}"""

MESSAGES_TOOLS = """{
  "model": "MODEL",
  "max_tokens": 1024,
  "messages": [{"role": "user", "content": "Is it raining in Busan?"}],
  "tools": [
    {
      "name": "read_weather",
      "description": "The weather in a city at this moment",
      "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"]
      }
    }
  ]
}"""

MESSAGES_SCHEMA = """{
  "model": "MODEL",
  "max_tokens": 1024,
  "messages": [{"role": "user", "content": "Lee paid 12.50 for tea."}],
  "output_config": {
    "format": {
      "type": "json_schema",
      "schema": {
        "type": "object",
        "properties": {"payer": {"type": "string"}, "amount": {"type": "number"}},
        "required": ["payer", "amount"],
        "additionalProperties": false
      }
    }
  }
}"""

TASK_MADE = """{
  "task_id": "tsk_01a1fe2c957b7ef78dea115161ed96a4",
  "id": "tsk_01a1fe2c957b7ef78dea115161ed96a4",
  "status": "pending",
  "model": "MODEL"
}"""

TASK_ENDED = """{
  "task_id": "tsk_01a1fe2c957b7ef78dea115161ed96a4",
  "status": "completed",
  "model": "MODEL",
  "images": [
    {
      "url": "ROOT/pictures/01a1fe2c957b7ef78dea115161ed96a4/0.png?expires=1796043600&signature=...",
      "expires_at": "2026-11-28T12:00:00Z",
      "width": 1024,
      "height": 1024,
      "content_type": "image/png"
    }
  ],
  "billing": {"reserved": "AMOUNT", "charged": "AMOUNT", "refunded": "0.00", "currency": "USD"}
}"""

TASK_EDIT = """{
  "model": "MODEL",
  "prompt": "Make it night, with lights in the windows",
  "source_image_urls": ["https://example.com/house.png"]
}"""

IMAGES_ANSWER = """{
  "created": 1795265703,
  "output_format": "png",
  "data": [{"b64_json": "iVBORw0KGgo..."}]
}"""

GENERATE_ANSWER = """{
  "candidates": [
    {
      "content": {"role": "model", "parts": [{"text": "Hello! What shall we build?"}]},
      "finishReason": "STOP",
      "index": 0
    }
  ],
  "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 8, "totalTokenCount": 17},
  "modelVersion": "MODEL"
}"""
