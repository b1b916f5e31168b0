"""A choice in the address: a link is followed, a click is written down, and what is no option counts as the default."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest


def script():
    import streamlit as st

    from pages.widgets.address_choice import choose_from_address

    chosen = choose_from_address("part", "Part", ["a", "b", "c"], "a", names={"b": "The second"})
    st.markdown(f"chosen {chosen}")


@pytest.mark.parametrize(("asked", "chosen"), [(None, "a"), ("b", "b"), ("c", "c"), ("z", "a")])
def test_a_link_is_followed_and_a_mistyped_one_is_the_default(asked, chosen):
    page = AppTest.from_function(script)
    if asked:
        page.query_params["part"] = asked
    page.run()
    assert not page.exception
    assert page.markdown[0].value == f"chosen {chosen}"
    assert page.query_params["part"] == chosen


def test_a_click_stands_in_the_address_and_the_back_button_counts():
    page = AppTest.from_function(script).run()
    page.button_group[0].set_value("c").run()
    assert page.markdown[0].value == "chosen c"
    assert page.query_params["part"] == "c"
    page.query_params["part"] = "b"
    page.run()
    assert page.markdown[0].value == "chosen b"


def long_script():
    import streamlit as st

    from pages.widgets.address_choice import choose_from_address

    options = [f"a class with a name of its own, number {number}" for number in range(20)]
    st.markdown(f"chosen {choose_from_address('class', 'Class', options, options[0])}")


def test_many_long_options_are_a_list_and_keep_the_address():
    page = AppTest.from_function(long_script)
    page.query_params["class"] = "a class with a name of its own, number 7"
    page.run()
    assert page.markdown[0].value.endswith("number 7")
    page.selectbox[0].select_index(3).run()
    assert page.markdown[0].value.endswith("number 3")
    assert page.query_params["class"].endswith("number 3")
