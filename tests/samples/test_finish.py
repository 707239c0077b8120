import pytest

from qcrd.samples.finish import ending, unsaid


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("stop", "stop"), ("STOP", "stop"), ("FINISH_REASON_STOP", "stop"), ("FinishReason.STOP", "stop"),
        ("eos", "stop"), ("eos_token", "stop"), ("end_turn", "stop"), ("stop_sequence", "stop"),
        ("COMPLETE", "stop"), ("completed", "stop"), ("FINISHED", "stop"),
        ("length", "length"), ("LENGTH", "length"), ("model_length", "length"), ("max_tokens", "length"),
        ("MAX_TOKENS", "length"), ("maxTokens", "length"), ("max-tokens", "length"),
        ("MAX_OUTPUT_TOKENS", "length"), ("max_output_tokens", "length"), ("token_limit", "length"),
        ("incomplete", "length"), ("not_finished", "length"), ("time_limit", "length"),
        ("ERROR_LIMIT", "length"), ("model_context_window_exceeded", "length"),
        ({"type": "length"}, "length"),
        ("content_filter", "refused"), ("content-filter", "refused"), ("SAFETY", "refused"),
        ("refusal", "refused"), ("guardrail_intervened", "refused"),
        ("content_filter: RECITATION", "refused"),
        ("error", "failed"), ("abort", "failed"), ("insufficient_system_resource", "failed"),
        ("tool_calls", None), ("function_call", None), ("OTHER", None), ("FINISH_REASON_UNSPECIFIED", None),
        ("something new", None), ("", None), (None, None), (7, None), ({}, None),
    ],
)  # fmt: skip
def test_the_words_of_many_servers_are_read_and_no_other_is_guessed(said, meant):
    assert ending(said) == meant


@pytest.mark.parametrize(
    ("text", "tokens", "meant"),
    [
        ("The answer is 4.", 5, "stop"),
        ("The answer is 4.", 20, "length"),
        ("The answer is 4.", 0, "stop"),  # not counted: 16 characters are at most 16 tokens
        ("The answer is really 4.", 0, "length"),
    ],
)
def test_an_answer_without_a_reason_is_whole_where_it_cannot_have_met_the_limit(text, tokens, meant):
    assert unsaid(text, tokens, max_tokens=20) == meant
