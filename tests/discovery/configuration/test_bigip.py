"""BIG-IP's files: which virtual server presents which certificate, by its profiles and what they inherit."""

from hypothesis import given
from hypothesis import strategies as st

from services.discovery.configuration import bigip
from services.discovery.domain.holdings import Listener, Reading, Use
from tests.discovery.configuration.held import HeldFiles

START = "/config/bigip.conf"
STORE = "/config/filestore/files_d"


def stored(kind: str, path: str, *, number: int = 100) -> str:
    partition = path.split("/")[1]
    folder = {"cert": "certificate_d", "key": "certificate_key_d"}[kind]
    file = f"{STORE}/{partition}_d/{folder}/{path.replace('/', ':')}_{number}_1"
    return f"sys file ssl-{kind} {path} {{\n    cache-path {file}\n    revision 1\n}}\n"


def pair(name: str, *, chain: str = "") -> str:
    more = f"            chain /Common/{chain}\n" if chain else ""
    return f"        {name} {{\n            cert /Common/{name}.crt\n{more}            key /Common/{name}.key\n        }}\n"


def profile(name: str, *pairs: str, more: str = "", parent: str = "clientssl") -> str:
    entries = "".join(pairs)
    own = f"    cert-key-chain {{\n{entries}    }}\n    inherit-certkeychain false\n" if pairs else ""
    return f"ltm profile client-ssl /Common/{name} {{\n    app-service none\n{own}    defaults-from /Common/{parent}\n{more}}}\n"


def virtual(name: str, *profiles: str, destination: str = "192.0.2.1:443", more: str = "") -> str:
    names = "".join(
        f"        /Common/{each} {{\n            context clientside\n        }}\n" for each in profiles
    )
    return (
        f"ltm virtual /Common/{name} {{\n    destination /Common/{destination}\n    ip-protocol tcp\n{more}"
        f"    mask 255.255.255.255\n    profiles {{\n{names}        /Common/http {{ }}\n    }}\n    source 0.0.0.0/0\n}}\n"
    )


async def read(text: str, **partitions: str) -> Reading:
    files = {f"/config/partitions/{name}/bigip.conf": content for name, content in partitions.items()}
    return await bigip.read(HeldFiles({START: f"#TMSH-VERSION: 17.1.1\n\n{text}"} | files), START)


def file_of(use: Use) -> str:
    return use.certificate.rpartition("/")[2]


async def test_a_virtual_server_presents_the_pair_of_its_profile():
    reading = await read(
        stored("cert", "/Common/web.crt")
        + stored("key", "/Common/web.key")
        + stored("cert", "/Common/sub-ca.crt")
        + profile(
            "web",
            pair("web", chain="sub-ca.crt"),
            more="    ciphers ECDHE:!SSLv3\n    options { dont-insert-empty-fragments no-tlsv1 }\n",
        )
        + virtual("vs_web", "web")
    )
    [use] = reading.uses
    assert use == Use(
        product="bigip",
        file=START,
        line=29,
        listeners=(Listener(address="192.0.2.1", port=443),),
        certificate=f"{STORE}/Common_d/certificate_d/:Common:web.crt_100_1",
        key=f"{STORE}/Common_d/certificate_key_d/:Common:web.key_100_1",
        chain=f"{STORE}/Common_d/certificate_d/:Common:sub-ca.crt_100_1",
        protocols=("no-tlsv1",),
        ciphers="ECDHE:!SSLv3",
        is_default=True,
    )
    assert (reading.gaps, reading.files) == ((), (START,))


async def test_a_profile_inherits_its_pair_name_and_ciphers_over_several_generations():
    grandparent = profile("old", pair("web"), more="    ciphers HIGH\n    server-name Web.test\n")
    child = profile(
        "child",
        parent="middle",
        more="    cert-key-chain {\n        stale {\n            cert /Common/stale.crt\n        }\n    }\n    inherit-certkeychain true\n",
    )
    reading = await read(
        stored("cert", "/Common/web.crt")
        + child
        + profile("middle", parent="old")
        + grandparent
        + virtual("v", "child")
    )
    [use] = reading.uses
    assert (file_of(use), use.ciphers, use.server_names) == (":Common:web.crt_100_1", "HIGH", ("web.test",))


async def test_what_a_child_switches_off_is_not_inherited():
    parent = profile("parent", pair("web"), more="    server-name web.test\n")
    child = profile("child", parent="parent", more="    server-name none\n")
    [use] = (await read(stored("cert", "/Common/web.crt") + parent + child + virtual("v", "child"))).uses
    assert use.server_names == ()


async def test_parents_in_a_circle_end():
    circle = profile("a", pair("web"), parent="b") + profile("b", parent="a")
    [use] = (await read(stored("cert", "/Common/web.crt") + circle + virtual("v", "b"))).uses
    assert file_of(use) == ":Common:web.crt_100_1"


async def test_the_built_in_profile_presents_the_default_certificate():
    [use] = (await read(stored("cert", "/Common/default.crt") + virtual("v", "clientssl"))).uses
    assert file_of(use) == ":Common:default.crt_100_1"


async def test_a_profile_with_an_rsa_and_an_ecdsa_pair_is_two_uses():
    names = ("web-rsa", "web-ec")
    text = "".join(stored("cert", f"/Common/{name}.crt") for name in names)
    reading = await read(text + profile("web", *map(pair, names)) + virtual("v", "web"))
    assert [file_of(use) for use in reading.uses] == [f":Common:{name}.crt_100_1" for name in names]


async def test_several_profiles_on_one_virtual_server_are_chosen_by_name_and_one_is_the_default():
    names = {"a": "    server-name A.test\n", "b": "    server-name b.test\n    sni-default true\n"}
    text = "".join(
        stored("cert", f"/Common/{name}.crt") + profile(name, pair(name), more=more)
        for name, more in names.items()
    )
    reading = await read(text + virtual("v", "a", "b"))
    assert [(use.server_names, use.is_default) for use in reading.uses] == [
        (("a.test",), False),
        (("b.test",), True),
    ]


async def test_destinations_are_read_as_they_are_written():
    wanted = {
        "192.0.2.1%7:8443": Listener(address="192.0.2.1", port=8443),
        "2001:db8::1.443": Listener(address="2001:db8::1", port=443),
        "2001:db8::1%2.https": Listener(address="2001:db8::1", port=443),
        "192.0.2.1:ldaps": Listener(address="192.0.2.1", port=636),
        "named:443": Listener(address="198.51.100.7", port=443),
    }
    alias = "ltm virtual-address /Common/named {\n    address 198.51.100.7\n}\n"
    text = alias + "".join(virtual(f"v{n}", "clientssl", destination=each) for n, each in enumerate(wanted))
    assert [use.listeners for use in (await read(text)).uses] == [(each,) for each in wanted.values()]


async def test_what_does_not_listen_at_one_address_and_port_has_no_listener():
    anywhere = [
        virtual(f"v{n}", "clientssl", destination=each)
        for n, each in enumerate(("0.0.0.0:443", "any6.443", "192.0.2.1:any", "192.0.2.1:0"))
    ]
    off = virtual("off", "clientssl", more="    disabled\n")
    network = virtual("net", "clientssl", destination="192.0.2.0:443").replace(
        "255.255.255.255", "255.255.255.0"
    )
    reading = await read("".join(anywhere) + off + network)
    assert [use.listeners for use in reading.uses] == [()] * 6


async def test_a_server_side_certificate_is_used_and_not_listened_with():
    text = (
        profile("to-pool", pair("client"))
        .replace("client-ssl", "server-ssl")
        .replace("clientssl", "serverssl")
    )
    [use] = (await read(stored("cert", "/Common/client.crt") + text + virtual("v", "to-pool"))).uses
    assert (file_of(use), use.listeners, use.is_default) == (":Common:client.crt_100_1", (), False)


async def test_partitions_have_files_of_their_own():
    text = stored("cert", "/Sales/shop.crt") + (profile("shop", pair("shop")) + virtual("v", "shop")).replace(
        "/Common/shop", "/Sales/shop"
    )
    [use] = (await read("", Sales=text)).uses
    assert (use.file, use.certificate) == (
        "/config/partitions/Sales/bigip.conf",
        f"{STORE}/Sales_d/certificate_d/:Sales:shop.crt_100_1",
    )


async def test_a_certificate_whose_file_is_not_named_is_looked_for_in_the_file_store():
    folder = f"{STORE}/Common_d/certificate_d"
    text = profile("web", pair("web")) + virtual("v", "web")
    kept = [f"{folder}/:Common:web.crt_{number}" for number in ("9_2", "10_1", "9_10")]
    other = f"{folder}/:Common:web.crt_old_1_1"
    reading = await bigip.read(HeldFiles({START: text} | dict.fromkeys([*kept, other], "")), START)
    assert [use.certificate for use in reading.uses] == [f"{folder}/:Common:web.crt_10_1"]
    missing = await read(text)
    assert [gap.scope for gap in missing.gaps] == [START]


async def test_what_an_irule_says_is_not_read_and_its_quotes_need_not_end():
    rule = 'ltm rule /Common/r {\n# 5" wide \\{\nltm virtual /Common/x {\n}\n}\n'
    described = virtual("v", "clientssl", more='    description "a b"\n')
    reading = await read(rule + described)
    assert [(use.line, len(use.listeners)) for use in reading.uses] == [(8, 1)]


async def test_an_object_without_an_end_is_a_gap():
    text = stored("cert", "/Common/default.crt") + virtual("v", "clientssl")
    reading = await read(text + 'ltm virtual /Common/x {\n    description "\n')
    assert ([use.line for use in reading.uses], [gap.reason for gap in reading.gaps]) == (
        [7],
        ["What begins on line 19 has no end."],
    )


async def test_braces_without_end_cost_little_and_leave_a_gap():
    for hostile in ("a {\n" * 200_000, "a b { " * 100_000, 'x {\n"' * 100_000, "ltm rule r {" * 100_000):
        assert (await read(hostile)).gaps


@given(st.text(alphabet=st.sampled_from('ltm virtual{}\n"\\/. #:%443sni'), max_size=300))
async def test_any_text_ends_without_an_exception(text: str):
    await read(text)


@given(
    st.lists(
        st.sampled_from(
            virtual("v", "web").splitlines(keepends=True)
            + profile("web", pair("web")).splitlines(keepends=True)
        ),
        max_size=40,
    )
)
async def test_any_mixture_of_lines_ends_without_an_exception(lines: list[str]):
    await read("".join(lines))
