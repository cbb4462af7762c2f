"""The conversation that a client of Responses sends, as messages of Chat Completions."""

from typing import Any

from tests.gateway.translate.responses_over_chat_samples import chat_call, messages, result


def say(role: str, *texts: str) -> dict[str, Any]:
    kind = "output_text" if role == "assistant" else "input_text"
    return {"role": role, "content": [{"type": kind, "text": text} for text in texts]}


def call(call_id: str, name: str = "exec_command", arguments: str = "{}") -> dict[str, Any]:
    return {"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments}


def test_a_turn_of_text_and_calls_is_one_message() -> None:
    assert messages(
        say("user", "List them."),
        {"type": "reasoning", "summary": [], "encrypted_content": "of OpenAI"},
        say("assistant", "I ", "look."),
        call("a"),
        call("b", arguments=""),
        result("a", "one.txt"),
        result("b", [{"type": "input_text", "text": "two.txt"}]),
        say("user", "And?"),
    ) == [
        {"role": "user", "content": "List them."},
        {
            "role": "assistant",
            "content": "I look.",
            "tool_calls": [chat_call("a"), chat_call("b")],
        },
        {"role": "tool", "tool_call_id": "a", "content": "one.txt"},
        {"role": "tool", "tool_call_id": "b", "content": "two.txt"},
        {"role": "user", "content": "And?"},
    ]


def test_text_after_a_call_does_not_part_it_from_its_result() -> None:
    first, second = messages(call("a"), say("assistant", "Running."), result("a", "ok"))
    assert first == {
        "role": "assistant",
        "content": "Running.",
        "tool_calls": [chat_call("a")],
    }
    assert second["role"] == "tool"


def test_two_messages_of_the_assistant_stay_two() -> None:
    assert messages(say("assistant", "A"), say("assistant", "B")) == [
        {"role": "assistant", "content": "A"},
        {"role": "assistant", "content": "B"},
    ]


def test_a_custom_call_and_its_result_are_a_function_call_and_its_result() -> None:
    assert messages(
        {"type": "custom_tool_call", "call_id": "a", "name": "apply_patch", "input": 'say "é"'},
        {"type": "custom_tool_call_output", "call_id": "a", "output": "done"},
    ) == [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [chat_call("a", "apply_patch", '{"input":"say \\"é\\""}')],
        },
        {"role": "tool", "tool_call_id": "a", "content": "done"},
    ]


def test_a_picture_in_a_result_follows_the_results() -> None:
    picture = {"type": "input_image", "image_url": "data:image/png;base64,AA"}
    shown = messages(call("a"), call("b"), result("a", [picture]), result("b", "ok"))
    assert [message["role"] for message in shown] == ["assistant", "tool", "tool", "user"]
    assert shown[-1]["content"] == [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}
    ]


def test_parts_that_are_no_text_are_carried_over() -> None:
    parts = [
        {"type": "input_text", "text": "Look"},
        {"type": "input_image", "image_url": "https://a.example/b.png", "detail": "low"},
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AA"},
        {"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}},
    ]
    [message] = messages({"role": "user", "content": parts})
    assert message["content"] == [
        {"type": "text", "text": "Look"},
        {"type": "image_url", "image_url": {"url": "https://a.example/b.png", "detail": "low"}},
        {
            "type": "file",
            "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA"},
        },
        {"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}},
    ]


def test_a_refusal_in_the_conversation_is_told_as_text() -> None:
    said = {"role": "assistant", "content": [{"type": "refusal", "refusal": "I will not."}]}
    assert messages(said) == [{"role": "assistant", "content": "I will not."}]
