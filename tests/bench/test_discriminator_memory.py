from qcrd.bench.discriminator_memory import bench_discriminator


def test_chunks_bound_what_a_step_keeps_whatever_the_number_of_rationales():
    few, many = (bench_discriminator("tiny", m, batch=6, max_tokens=4_000) for m in (5, 20))
    assert (few.questions, many.questions) == (6, 6)
    assert many.whole > 2.5 * few.whole
    assert few.largest < few.whole and 1 < few.chunks < many.chunks
    assert many.largest < 2 * few.largest
    assert bench_discriminator("tiny", 5, batch=6, max_tokens=10**6).largest == few.whole
