"""How fast connections are opened."""

from services.discovery.scanner.pace import Bucket, Crowd, Window, network_of


def test_the_window_grows_with_answers_in_good_time_and_never_beyond_the_most():
    window = Window(most=300, late=1.0)
    for _ in range(100):
        window.answered(after=0.1, now=0.0)
    assert window.width == 300


def test_the_window_halves_once_for_all_the_late_answers_of_a_second():
    window = Window(most=1000, late=1.0)
    before = window.width
    for tenth in range(10):
        window.answered(after=1.5, now=tenth / 10)
    assert window.width == before / 2
    window.answered(after=1.5, now=2.0)
    assert window.width == before / 4


def test_the_window_never_closes():
    window = Window(most=1000, late=1.0)
    for second in range(100):
        window.answered(after=5.0, now=float(2 * second))
    assert window.width >= 16


def test_the_bucket_gives_its_rate_and_saves_up_no_burst():
    bucket = Bucket(rate=100)
    taken = sum(bucket.take(second / 1000) for second in range(2000))
    assert 195 <= taken <= 215
    after_a_pause = sum(bucket.take(60.0) for _ in range(100))
    assert after_a_pause <= 10


def test_a_crowd_has_room_for_so_many_at_a_host_and_in_its_network():
    crowd = Crowd(per_host=2, per_network=3)
    for address in ("192.0.2.1", "192.0.2.1", "192.0.2.2"):
        assert crowd.has_room(address, network_of(address))
        crowd.enter(address, network_of(address))
    assert not crowd.has_room("192.0.2.1", network_of("192.0.2.1"))
    assert not crowd.has_room("192.0.2.3", network_of("192.0.2.3"))
    assert crowd.has_room("198.51.100.1", network_of("198.51.100.1"))
    crowd.leave("192.0.2.1", network_of("192.0.2.1"))
    assert crowd.has_room("192.0.2.3", network_of("192.0.2.3"))


def test_a_network_is_a_24_or_a_64():
    assert network_of("192.0.2.77") == network_of("192.0.2.1")
    assert network_of("192.0.2.77") != network_of("192.0.3.77")
    assert network_of("2001:db8:1:2:3:4:5:6") == network_of("2001:db8:1:2:9::1")
    assert network_of("2001:db8:1:2::1") != network_of("2001:db8:1:3::1")
    assert network_of("2001:db8::1") == network_of("2001:db8:0:0:1::2")
