"""Who may do what, and which texts mean a wedge."""

import pytest

from truebeat.domain.access import Permission, Principal, Role
from truebeat.domain.symptoms import means_wedged

ONE, OTHER = "a" * 36, "b" * 36


@pytest.mark.parametrize("role", [Role.MEMBER, Role.VIEWER, Role.WORKSPACE, Role.ENROLMENT])
def test_only_operators_operate(role):
    assert not Principal(role, "x").may(Permission.OPERATE)


def test_a_workspace_is_only_itself():
    principal = Principal(Role.WORKSPACE, "x", ONE)
    assert principal.is_workspace(ONE)
    assert not principal.is_workspace(OTHER)
    assert principal.may_see_details(ONE)
    assert not principal.may_see_details(OTHER)
    assert not Principal(Role.OPERATOR, "x").is_workspace(ONE)


@pytest.mark.parametrize(
    "text", ["Control request timeout: initialize", "x CONTROL REQUEST TIMEOUT: interrupt", "control request timeout"]
)
def test_wedge_texts(text):
    assert means_wedged(text)


@pytest.mark.parametrize(
    "text", ["", "429 rate limit exceeded", "Request timed out", "API Error: overloaded", "timeout", "control request"]
)
def test_what_must_not_degrade(text):
    assert not means_wedged(text)
