"""Every word that a template shows is marked, translated into German, and in the compiled file."""

import gettext
import re
from pathlib import Path

import pytest
from django.conf import settings
from django.urls import reverse
from django.utils.translation.template import templatize

from apps.cases.tests.factories import make_case
from tests.catalogues import entries_of
from tests.people import People, logged_in
from tests.template_texts import unmarked

# Not yet: the admins' pages.
_NOT_YET = {"operations"}
_ROOT = settings.BASE_DIR / "templates"
TEMPLATES = sorted(
    one for one in _ROOT.rglob("*.html") if one.relative_to(_ROOT).parts[0] not in _NOT_YET
)
CATALOGUE = settings.BASE_DIR / "locale" / "de" / "LC_MESSAGES" / "django.po"
_CALL = re.compile(
    r"(?:\b_|gettext_noop|gettext|ngettext)\(\s*u?(\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*')"
)
_VARIABLE = re.compile(r"%\(\w+\)s")


def messages_of(template: Path) -> set[str]:
    """The messages that makemessages finds in a template."""
    source = templatize(template.read_text(encoding="utf-8"))
    return {_text(found) for found in _CALL.findall(source)}


def _text(literal: str) -> str:
    return literal[1:-1].replace('\\"', '"').replace("\\'", "'").replace("\\n", "\n")


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_no_word_of_a_template_is_left_unmarked(template):
    assert [run.text.strip() for run in unmarked(template.read_text(encoding="utf-8"))] == []


def test_every_marked_word_is_translated_and_nothing_is_fuzzy():
    known = {entry.id: entry for entry in entries_of(CATALOGUE)}
    wanted = set().union(*(messages_of(one) for one in TEMPLATES))
    assert len(wanted) > 400
    assert wanted - set(known) == set()
    assert [one.id for one in known.values() if one.fuzzy or not all(one.translations)] == []


def test_a_translation_keeps_the_variables():
    for entry in entries_of(CATALOGUE):
        for said in entry.translations:
            assert set(_VARIABLE.findall(said)) <= set(_VARIABLE.findall(entry.id)), entry.id


def test_the_compiled_catalogue_is_the_one_of_the_source():
    with CATALOGUE.with_suffix(".mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)._catalog
    expected = {}
    for entry in entries_of(CATALOGUE):
        if len(entry.translations) == 1:
            expected[entry.id] = entry.translations[0]
        else:
            expected |= {(entry.id, form): said for form, said in enumerate(entry.translations)}
    compiled.pop("")
    assert compiled == expected


def test_unmarked_words_would_be_found():
    """The reader of templates itself: what it takes for words, and what not."""
    assert [
        run.text for run in unmarked('<p>Two words {{ n }}</p><b title="Here">{% x %}</b>')
    ] == [
        "Two words {{ n }}",
        "Here",
    ]
    marked = '<p>{% translate "Two words" %}</p>{# note #}<kbd>J</kbd><script>var x;</script>'
    assert list(unmarked(marked)) == []


@pytest.mark.django_db
def test_pages_speak_the_language_of_the_profile(people: People):
    client = logged_in(people.technician)
    assert "Nothing waits to be sent" in client.get("/labtech/").content.decode()
    form = {"first_name": "Ana", "last_name": "Silva", "language": "de", "theme": "auto"}
    client.post(reverse("profile"), form)
    page = client.get("/labtech/").content.decode()
    assert '<html lang="de"' in page
    assert "Nichts wartet auf das Senden" in page
    assert (
        "Nothing waits to be sent"
        in logged_in(people.foreign_technician).get("/labtech/").content.decode()
    )


@pytest.mark.django_db
def test_a_worklist_in_german_knows_its_target_times(people: People):
    make_case(people.home, status="sent", priority=1)
    people.owner.language = "de"
    people.owner.save()
    page = logged_in(people.owner).get("/doctor/").content.decode()
    assert "dringend" in page
    assert "1 Fall zu befunden" in page


@pytest.mark.django_db
def test_numbers_keep_their_point_in_german(people: People):
    people.admin.language = "de"
    people.admin.save()
    page = logged_in(people.admin).get("/operations/").content.decode()
    assert re.search(r'<progress[^>]*value="0\.\d+"', page)
    assert not re.search(r'(?:value|x|y|height)="\d+,\d+"', page)
