"""The microphone against a made sounddevice: what is opened, what comes, and what is said when it goes wrong."""

from __future__ import annotations

import sys

import pytest

from support.fake_sounddevice import FakeSoundDevice, FakeStream, device
from wordspot.audio import microphone
from wordspot.audio.microphone import Microphone, MicrophoneError, find_microphone, list_microphones
from wordspot.errors import AudioError, MissingExtraError


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeSoundDevice:
    devices = [
        device("HDA speaker", 0),
        device("HDA microphone", 2, 44_100.0),
        device("USB microphone", 1),
        device("USB microphone", 1, system=1),
    ]
    module = FakeSoundDevice(devices, default=1)
    monkeypatch.setitem(sys.modules, "sounddevice", module)
    return module


def test_only_what_records_is_listed(fake: FakeSoundDevice) -> None:
    found = list_microphones()
    assert [(d.index, d.name, d.system, d.sample_rate, d.is_default) for d in found] == [
        (1, "HDA microphone", "ALSA", 44_100, True),
        (2, "USB microphone", "ALSA", 48_000, False),
        (3, "USB microphone", "JACK", 48_000, False),
    ]


@pytest.mark.parametrize(("name", "index"), [(None, 1), ("2", 2), ("3", 3), ("hda", 1), ("HDA microphone", 1), ("usb", 2)])
def test_a_microphone_by_name_part_of_it_or_number(fake: FakeSoundDevice, name: str | None, index: int) -> None:
    assert find_microphone(name).index == index


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("microphone", r"several microphones match 1: HDA microphone \(ALSA\), 2: USB microphone \(ALSA\)$"),
        ("speaker", "no microphone matches; there are 1: HDA microphone"),
        ("0", "no microphone matches; there are"),
    ],
)
def test_a_name_that_fits_none_or_several(fake: FakeSoundDevice, name: str, match: str) -> None:
    with pytest.raises(MicrophoneError, match=match):
        find_microphone(name)


def test_without_a_default_the_first_is_taken(fake: FakeSoundDevice) -> None:
    fake.default_input = -1
    assert find_microphone(None).index == 1


def test_no_microphone_at_all(fake: FakeSoundDevice) -> None:
    fake.devices, fake.default_input = fake.devices[:1], -1
    assert list_microphones() == []
    with pytest.raises(MicrophoneError, match="this system has no microphone; plug one in"):
        Microphone()


def test_blocks_come_as_they_are_recorded(fake: FakeSoundDevice) -> None:
    fake.on_start = lambda stream: [stream.give(1, 2), stream.give(3, 4)]
    with Microphone("hda", 16_000, 20.0) as opened:
        settings = fake.streams[0].settings
        assert (settings["device"], settings["samplerate"], settings["blocksize"]) == (1, 16_000, 320)
        assert (settings["channels"], settings["dtype"]) == (1, "int16")
        blocks = opened.blocks()
        assert [next(blocks).tolist(), next(blocks).tolist()] == [[1, 2], [3, 4]]
        assert not fake.streams[0].closed
    assert fake.streams[0].closed


def test_a_rate_the_device_rejects_gives_its_own(fake: FakeSoundDevice) -> None:
    fake.refused_rates = {16_000}
    opened = Microphone(None, 16_000, 20.0)
    assert opened.sample_rate == 44_100
    assert fake.streams[0].settings["blocksize"] == 882


@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_a_device_that_does_not_record_in_mono_gives_its_first_channel(fake: FakeSoundDevice, rate: int) -> None:
    fake.only_channels = 2
    fake.refused_rates = set() if rate == 16_000 else {16_000}
    fake.on_start = lambda stream: stream.give(1, 2)
    with Microphone("hda", 16_000, 20.0) as opened:
        assert fake.streams[0].settings["channels"] == 2
        assert opened.sample_rate == fake.streams[0].settings["samplerate"] == rate
        assert next(opened.blocks()).tolist() == [1, 2]


@pytest.mark.parametrize("says_so", [True, False])
def test_a_lost_device_is_an_error_that_says_so(fake: FakeSoundDevice, says_so: bool) -> None:
    def start(stream: FakeStream) -> None:
        stream.give(1)
        if says_so:
            stream.settings["finished_callback"]()

    fake.on_start = start
    with Microphone(lost_seconds=60.0 if says_so else 0.05) as opened:
        blocks = opened.blocks()
        assert next(blocks).tolist() == [1]  # what was heard before is not thrown away
        with pytest.raises(MicrophoneError, match="the microphone HDA microphone no longer delivers audio; plug it in"):
            next(blocks)
    assert fake.streams[0].closed


def test_audio_that_is_not_read_is_lost_and_counted(fake: FakeSoundDevice) -> None:
    """The queue holds ten seconds: of 600 blocks of 20 ms, 500."""
    fake.on_start = lambda stream: [stream.give(n) for n in range(600)]
    with Microphone() as opened:
        assert opened.n_lost == 100
        blocks = opened.blocks()
        assert [int(next(blocks)[0]) for _ in range(500)] == list(range(500))
        fake.streams[0].give(7, overflow=True)
        assert opened.n_lost == 101
        assert next(blocks).tolist() == [7]


def test_a_microphone_in_use_elsewhere(fake: FakeSoundDevice) -> None:
    fake.busy = {1}
    match = r"the microphone HDA microphone cannot be opened \(Error opening InputStream: Device unavailable"
    with pytest.raises(MicrophoneError, match=match) as caught:
        Microphone()
    assert "\n" not in str(caught.value)
    fake.busy, fake.fails_to_start = set(), True
    with pytest.raises(MicrophoneError, match="cannot be opened"), Microphone():
        pass
    assert fake.streams[-1].closed


def test_without_sounddevice_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(MissingExtraError, match=r'pip install "wordspot\[listen\]"'):
        list_microphones()


def test_without_portaudio_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(name: str) -> None:
        raise OSError("PortAudio library not found")

    monkeypatch.setattr(microphone.importlib, "import_module", fails)
    with pytest.raises(MissingExtraError, match="apt install libportaudio2"):
        list_microphones()


# ----------------------------------------------------------------------------------------- formats that devices insist on


@pytest.mark.parametrize(
    ("only", "expected"),
    [
        ({"only_channels": 2}, (2, "int16", 16_000)),
        ({"only_channels": 4}, (4, "int16", 16_000)),
        ({"only_channels": 6}, (6, "int16", 16_000)),
        ({"only_dtype": "float32"}, (1, "float32", 16_000)),
        ({"only_rate": 44_100}, (1, "int16", 44_100)),
        ({"only_rate": 96_000, "only_dtype": "float32", "only_channels": 8}, (8, "float32", 96_000)),
        ({"refused_rates": {16_000, 22_050}}, (1, "int16", 48_000)),  # 22050 is what the device calls its own
    ],
)
def test_a_device_that_supports_one_format_only(
    monkeypatch: pytest.MonkeyPatch, only: dict[str, object], expected: tuple[int, str, int]
) -> None:
    fake = FakeSoundDevice([device("array", 8, 22_050.0)])
    for name, value in only.items():
        setattr(fake, name, value)
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    values = [0.25, 0.5] if expected[1] == "float32" else [1, 2]
    with Microphone() as opened:
        stream = fake.streams[0]
        assert tuple(stream.settings[name] for name in ("channels", "dtype", "samplerate")) == expected
        assert opened.sample_rate == expected[2]
        stream.give(*values)
        block = next(opened.blocks())
        assert (block.tolist(), str(block.dtype)) == (values, expected[1])


def test_a_device_whose_formats_are_all_rejected_is_not_said_to_be_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeSoundDevice([device("odd", 3)])
    fake.only_channels = 5
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    with pytest.raises(MicrophoneError, match="supports none of the formats that were tried") as caught:
        Microphone()
    assert "another program" not in str(caught.value)
    fake.only_channels, fake.busy = 0, {0}
    with pytest.raises(MicrophoneError, match=r"Device unavailable.*another program may be using it"):
        Microphone()


def test_the_channel_of_a_microphone(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeSoundDevice([device("pair", 2)])
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    with Microphone(channel=1) as opened:
        assert fake.streams[-1].settings["channels"] == 2
        fake.streams[-1].give(7, 8, channel=1)
        assert next(opened.blocks()).tolist() == [7, 8]
    with pytest.raises(AudioError, match="there is no channel 2, the microphone pair has 2"):
        Microphone(channel=2)
    notes: list[str] = []
    fake.only_channels = 2
    with Microphone(on_note=notes.append) as opened:
        blocks = opened.blocks()
        for _ in range(2):  # half a second each
            fake.streams[-1].give(*[9_000] * 8_000, channel=1)
            block = next(blocks)
    assert block[0] == 9_000
    assert notes == ["channel 0 of the microphone pair is silent, but channel 1 is not; channel 1 is used from here on"]
