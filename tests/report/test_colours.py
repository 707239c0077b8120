from qcrd.report.colours import COLOURS, colour


def test_settings_have_colours_of_their_own_the_palettes_first():
    colours = [colour(number) for number in range(40)]
    assert colours[:6] == list(COLOURS)
    assert len(set(colours)) == 40
    assert all(len(each) == 7 and int(each[1:], 16) >= 0 for each in colours)
