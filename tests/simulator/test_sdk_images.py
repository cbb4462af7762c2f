"""What the official OpenAI client makes of the Images API: pictures, edits, streams, refusals."""

import base64
import json

import openai
import pytest

from simulator.images import count_output, count_source
from simulator.pictures import Size, draw
from simulator.png import decode_png

SQUARE = draw("what is sent", Size(64, 64), transparent=False)
WIDE = draw("what is sent", Size(96, 64), transparent=True)


def generate(client, prompt="a red bicycle", **options):
    options.setdefault("model", "gpt-image-2")
    return client.images.generate(prompt=prompt, **options)


def edit(client, image=SQUARE, prompt="a red bicycle", **options):
    options.setdefault("model", "gpt-image-1.5")
    return client.images.edit(image=image, prompt=prompt, **options)


def scripted(**script):
    return {"extra_body": {"simulate": script}}


def bitmaps(answer):
    return [decode_png(base64.b64decode(one.b64_json)) for one in answer.data]


def test_a_prompt_becomes_a_picture_and_its_tokens_are_reported(client, last_ended):
    answer = generate(client)
    (bitmap,) = bitmaps(answer)
    assert (bitmap.width, bitmap.height) == (1024, 1024)
    shown = (answer.size, answer.quality, answer.background, answer.output_format)
    assert shown == ("1024x1024", "medium", "opaque", "png")
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (3, 1056)
    assert answer.usage.input_tokens_details.text_tokens == 3
    assert answer.usage.total_tokens == 1059
    entry = last_ended()
    assert (entry["dialect"], entry["outcome"], entry["model"]) == (
        "images",
        "completed",
        "gpt-image-2",
    )
    assert entry["totals"]["image_output"] == entry["totals"]["output"] == 1056
    assert (entry["totals"]["input"], entry["totals"]["image_input"]) == (3, 0)
    assert (entry["pictures"], entry["pixels"]) == (1, 1024 * 1024)
    assert entry["resolution"] == "1024x1024"
    assert "job" not in entry
    assert entry["usage"]["output_tokens_details"] == {"image_tokens": 1056, "text_tokens": 0}


@pytest.mark.parametrize(
    ("quality", "square", "tall", "wide"),
    [("low", 272, 408, 400), ("medium", 1056, 1584, 1568), ("high", 4160, 6240, 6208)],
)
def test_a_picture_costs_the_tokens_of_openais_guide(quality, square, tall, wide):
    assert count_output(Size(1024, 1024), quality) == square
    assert count_output(Size(1024, 1536), quality) == tall
    assert count_output(Size(1536, 1024), quality) == wide


def test_a_picture_that_is_sent_costs_a_base_and_its_tiles():
    assert count_source(Size(1024, 1024), is_faithful=False) == 65 + 129
    assert count_source(Size(64, 96), is_faithful=False) == 65 + 2 * 129
    assert count_source(Size(64, 64), is_faithful=True) == 65 + 129 + 4160
    assert count_source(Size(64, 96), is_faithful=True) == 65 + 2 * 129 + 6240


def test_the_same_prompt_has_the_same_pictures_and_each_is_another(client, vendor, call_id):
    headers = {"x-client-request-id": call_id}
    first = generate(client, n=3, quality="low", extra_headers=headers)
    again = generate(client, n=3, quality="low")
    pictures = [one.b64_json for one in first.data]
    assert pictures == [one.b64_json for one in again.data]
    assert len(set(pictures)) == 3
    assert first.usage.output_tokens == 3 * 272
    received, ended = [e for e in vendor.entries(None) if e["call_id"] == call_id]
    for entry in (received, ended):
        assert (entry["pictures"], entry["pixels"]) == (3, 3 * 1024 * 1024)


@pytest.mark.parametrize("size", ["1536x1024", "1024x1536", "1536x864", "3840x2160", "auto"])
def test_a_picture_has_the_size_that_was_asked_for(client, size):
    answer = generate(client, size=size)
    (bitmap,) = bitmaps(answer)
    wanted = "1024x1024" if size == "auto" else size
    assert answer.size == wanted == f"{bitmap.width}x{bitmap.height}"


def test_a_transparent_background_is_an_alpha_channel(client):
    answer = generate(client, background="transparent")
    assert answer.background == "transparent"
    assert base64.b64decode(answer.data[0].b64_json)[25] == 6
    assert {alpha for row in bitmaps(answer)[0].rows for alpha in row[3::4]} == {0, 255}


def test_an_edit_takes_pictures_and_a_mask_and_its_input_is_counted(client, last_ended):
    answer = edit(client, [WIDE, SQUARE], mask=WIDE, input_fidelity="high")
    assert answer.size == "1536x1024"
    images = count_source(Size(96, 64), is_faithful=True)
    images += count_source(Size(64, 64), is_faithful=True)
    assert answer.usage.input_tokens_details.image_tokens == images
    assert answer.usage.input_tokens == images + 3
    entry = last_ended()
    assert (entry["totals"]["input"], entry["totals"]["image_input"]) == (images + 3, images)


def test_an_edit_depends_on_the_picture_that_was_sent(client):
    first, other = edit(client).data[0], edit(client, image=WIDE, size="1024x1024").data[0]
    assert edit(client).data[0].b64_json == first.b64_json != other.b64_json


@pytest.mark.parametrize("call", [generate, edit])
def test_a_stream_has_its_partial_pictures_and_then_the_whole_one(client, call, last_ended):
    plain = call(client, size="1024x1024")
    *partials, last = call(client, size="1024x1024", stream=True, partial_images=2)
    kind = "image_generation" if call is generate else "image_edit"
    assert [one.type for one in partials] == [f"{kind}.partial_image"] * 2
    assert [one.partial_image_index for one in partials] == [0, 1]
    assert last.type == f"{kind}.completed"
    assert last.b64_json == plain.data[0].b64_json
    assert last.usage.output_tokens == plain.usage.output_tokens + 200
    assert last_ended()["generated_tokens"] == last.usage.output_tokens
    assert last_ended()["usage"]["output_tokens"] == last.usage.output_tokens


def test_a_stream_that_breaks_off_is_billed_for_what_was_drawn(client, last_ended):
    script = {"reset_after_chunks": 1, "output_tokens": 500}
    with pytest.raises(openai.APIConnectionError):
        list(generate(client, stream=True, partial_images=2, **scripted(**script)))
    entry = last_ended()
    assert (entry["outcome"], entry["usage"]) == ("reset", None)
    assert entry["totals"]["output"] == entry["totals"]["image_output"] == 100


def test_an_error_event_ends_a_stream(client):
    script = {"error_event_after_chunks": 1, "error": {"message": "The easel broke."}}
    seen = []
    with pytest.raises(openai.APIError, match="easel"):
        seen.extend(generate(client, stream=True, partial_images=1, **scripted(**script)))


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": "x" * 32_001}, "prompt"),
        ({"n": 0}, "n"),
        ({"n": 11}, "n"),
        ({"quality": "hd"}, "quality"),
        ({"background": "blue"}, "background"),
        ({"moderation": "none"}, "moderation"),
        ({"output_format": "jpeg"}, "output_format"),
        ({"output_format": "webp"}, "output_format"),
        ({"output_format": "bmp"}, "output_format"),
        ({"output_compression": 50}, "output_compression"),
        ({"partial_images": 4, "stream": True}, "partial_images"),
        ({"n": 2, "stream": True}, "n"),
        ({"response_format": "url"}, "response_format"),
        ({"size": "1000x1000"}, "size"),
        ({"size": "1024x1040000"}, "size"),
        ({"size": "3856x2160"}, "size"),
        ({"size": "3840x1264"}, "size"),
        ({"size": "3840x2176"}, "size"),
        ({"size": "800x800"}, "size"),
        ({"size": "1536x864", "model": "gpt-image-1"}, "size"),
        ({"size": "1536x864", "model": "gpt-image-1.5"}, "size"),
        ({"size": "1536x864", "model": "gpt-4o-image"}, "size"),
        ({"model": "gpt-5.5"}, "model"),
    ],
)
def test_a_wrong_field_is_a_400_that_names_it(client, options, param):
    with pytest.raises(openai.BadRequestError) as refused:
        generate(client, **options)
    assert refused.value.param == param


def test_the_bounds_themselves_are_served(client):
    # 655,360 pixels are the least, 8,294,400 the most, 3:1 the longest.
    for size in ("1024x640", "3840x2160", "3840x1280"):
        assert generate(client, size=size, quality="low").size == size
    assert generate(client, "x" * 32_000, n=1).size == "1024x1024"


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"image": b"GIF89a" + bytes(40)}, "image"),
        ({"image": []}, "image"),
        ({"image": [SQUARE] * 17}, "image"),
        ({"mask": WIDE}, "mask"),
        ({"input_fidelity": "middling"}, "input_fidelity"),
        ({"n": 11}, "n"),
    ],
)
def test_a_wrong_edit_is_a_400(client, changes, param):
    with pytest.raises(openai.BadRequestError) as refused:
        edit(client, **changes)
    assert refused.value.param == param


def test_an_edit_is_no_json(http):
    answer = http.post("/images/edits", json={"model": "gpt-image-2", "prompt": "x"})
    assert answer.status_code == 400
    assert "multipart" in answer.json()["error"]["message"]


def test_a_refused_prompt_is_a_400_of_the_safety_system(client, last_ended):
    with pytest.raises(openai.BadRequestError) as refused:
        generate(client, **scripted(job_refused=True))
    assert refused.value.code == "moderation_blocked"
    assert refused.value.type == "image_generation_user_error"
    entry = last_ended()
    assert (entry["outcome"], entry["totals"]) == ("error", None)
    assert "pictures" not in entry


def test_faults_strike_before_and_within_the_answer(client, last_ended):
    with pytest.raises(openai.InternalServerError):
        generate(client, **scripted(status=503, error={"message": "No paint."}))
    with pytest.raises(openai.APIConnectionError):
        generate(client, **scripted(reset_before_headers=True))
    assert "pictures" not in last_ended()
    with pytest.raises(openai.APIConnectionError):
        generate(client, **scripted(reset_after_chunks=0))
    # Half the answer was out: the pictures were made.
    assert (last_ended()["outcome"], last_ended()["pictures"]) == ("reset", 1)
    with pytest.raises(openai.APITimeoutError):
        generate(client, timeout=0.2, **scripted(hang_before_headers=True))
    with pytest.raises(openai.APITimeoutError):
        generate(client, timeout=0.2, **scripted(total_delay_s=5))


def test_a_200_can_hold_an_error(client):
    answer = generate(client, **scripted(body_error_200=True, error={"message": "No paint."}))
    assert answer.data is None
    assert answer.to_dict()["error"]["message"] == "No paint."


def test_an_edit_is_scripted_by_a_field_and_by_its_prompt(client):
    answer = edit(client, extra_body={"simulate": json.dumps({"output_tokens": 7})})
    assert answer.usage.output_tokens == 7
    marked = edit(client, prompt='a red bicycle [[simulate {"input_tokens": 50}]]')
    assert (marked.usage.input_tokens, marked.usage.input_tokens_details.text_tokens) == (50, 0)
    assert marked.data[0].b64_json == edit(client).data[0].b64_json


def test_usage_can_be_a_lie_or_missing(client, last_ended):
    assert generate(client, **scripted(no_usage=True)).usage is None
    answer = generate(client, **scripted(usage={"input_tokens": -1}))
    assert answer.usage.input_tokens == -1
    assert last_ended()["totals"]["output"] == 1056


def test_a_picture_can_have_any_number_of_bytes_or_be_none(client):
    answer = generate(client, **scripted(picture_bytes=300_000))
    assert len(base64.b64decode(answer.data[0].b64_json)) == 300_000
    assert bitmaps(answer) == bitmaps(generate(client))
    page = generate(client, **scripted(not_a_picture="html"))
    assert base64.b64decode(page.data[0].b64_json).startswith(b"<!doctype html>")
    with pytest.raises(openai.BadRequestError, match="picture_bytes"):
        generate(client, **scripted(picture_bytes=300))


def test_a_wrong_key_is_a_401(vendor):
    with (
        openai.OpenAI(base_url=vendor.base_url, api_key="sk-no", max_retries=0) as wrong,
        pytest.raises(openai.AuthenticationError),
    ):
        generate(wrong)
