import pytest


@pytest.fixture
def try_cases():
    """try_cases(fails): the first of some cases that fails, and what was tried in `.tried`."""

    def make(fails):
        def find_first(cases):
            for number, case in enumerate(cases):
                find_first.tried.append(case)
                if fails(case):
                    return number
            return None

        find_first.tried = []
        return find_first

    return make
