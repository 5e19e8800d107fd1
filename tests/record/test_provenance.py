"""What is recorded of the machine tells apart what gives other bits, and nothing else."""

import platform
import sys

import pytest
import torch

from experiments.record import provenance

X86 = """processor\t: 0
vendor_id\t: AuthenticAMD
cpu family\t: 25
model\t\t: 1
model name\t: AMD EPYC
stepping\t: {stepping}

processor\t: 1
vendor_id\t: AuthenticAMD
cpu family\t: 99
model\t\t: 99
"""
ARM = "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd40\nCPU revision\t: 1\n"


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine of which a test says what it is."""

    def is_(cpuinfo, capability="AVX512", amx=True, **variables):
        provenance.processor.cache_clear()
        monkeypatch.setattr(provenance, "CPUINFO", tmp_path / "cpuinfo")
        if cpuinfo:
            (tmp_path / "cpuinfo").write_text(cpuinfo)
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
        for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
            monkeypatch.setattr(torch.cpu, name, lambda: amx, raising=False)
        for name in provenance.LIMITS:
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return provenance.processor()

    yield is_
    provenance.processor.cache_clear()


def test_a_type_is_maker_family_model_and_instructions(machine):
    known = "AuthenticAMD family 25 model 1, AVX512+BF16+AMX"
    assert machine(X86.format(stepping=1)) == known
    assert machine(X86.format(stepping=2)) == known
    assert machine(X86, "AVX2", amx=False) == "AuthenticAMD family 25 model 1, AVX2"
    assert machine(ARM, "DEFAULT", amx=False) == "implementer 0x41 part 0xd40, DEFAULT"


def test_what_keeps_a_library_from_the_best_instructions_is_part_of_it(machine):
    known = machine(ARM)
    assert machine(ARM, MKL_CBWR="COMPATIBLE") == f"{known} MKL_CBWR=COMPATIBLE"


def test_where_there_is_no_cpuinfo_the_system_is_asked(machine, monkeypatch):
    told = "Intel64 Family 6 Model 143 Stepping 8, GenuineIntel"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(platform, "processor", lambda: told)
    assert machine("") == "Intel64 Family 6 Model 143, GenuineIntel, AVX512+BF16+AMX"
    monkeypatch.setattr(platform, "processor", lambda: "")
    assert machine("").startswith(f"{platform.machine()}, ")


def test_an_older_torch_that_cannot_be_asked_has_no_amx(machine, monkeypatch):
    machine(X86)
    provenance.processor.cache_clear()
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.delattr(torch.cpu, name)
    assert provenance.processor() == "AuthenticAMD family 25 model 1, AVX512"


def test_a_run_that_went_on_elsewhere_says_where_it_was():
    first = {"torch": "2.13", "processor": "A", "threads": 1}
    second = {"torch": "2.13", "processor": "B", "threads": 2}
    whole, changes = provenance.continued(first, second)
    assert whole == {"torch": "2.13", "processor": "A then B", "threads": 2}
    assert changes == ["processor was A and is B", "threads was 1 and is 2"]
    again, changes = provenance.continued(whole, second)
    assert (again, changes) == (whole, [])
    back, changes = provenance.continued(whole, second | {"processor": "A"})
    assert back["processor"] == "A then B then A"
    assert changes == ["processor was B and is A"]


def test_what_an_older_checkpoint_does_not_know_is_not_compared():
    assert provenance.continued({}, {"processor": "A"}) == ({"processor": "A"}, [])
