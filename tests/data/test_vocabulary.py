import pytest

from tests.records import real_files
from yt8m_distill.data import DataError, read_vocabulary

YT8M = """Index,TrainVideoCount,KnowledgeGraphId,Name,WikiDescription
1,5,/m/1,"Food, drink","It is ""good"".
Two lines, 7,8"
0,9,/m/0,Café,
2,1,/m/2,,
"""
AUDIOSET = '\ufeffindex,mid,display_name\r\n0,/m/09x0r,"Speech"\r\n1,/m/05zppz,"Male speech, man speaking"\r\n'


@pytest.fixture
def read(tmp_path):
    def read(text, num_classes):
        (tmp_path / "names.csv").write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
        return read_vocabulary(str(tmp_path / "names.csv"), num_classes)

    return read


@pytest.mark.parametrize(
    "text, names",
    [(YT8M, ["Café", "Food, drink", ""]), (AUDIOSET, ["Speech", "Male speech, man speaking"])],
    ids=["YouTube-8M", "AudioSet"],
)
def test_names_by_index(read, text, names):
    assert read(text, len(names)) == names


@pytest.mark.parametrize(
    "text, num_classes, message",
    [
        ("", 2, "has no column 'index'. Its first line is: "),
        ("id,name\n", 2, "has no column 'index'. Its first line is: id,name"),
        ("Index,Title\n", 2, "has no column 'name' or 'display_name'. Its first line is: Index,Title"),
        ("Index,Name\n0,a\n2,c\n", 3, "has no row for class 1; the model has 3 classes"),
        ("Index,Name\n0,a\n1,b\n2,c\n", 2, "names class 2, but the model has 2 classes. Give the vocabulary of"),
        ("Index,Name\n0,a\nx,b\n", 2, r"names\.csv line 3: the index must be a whole number. Received: 'x'"),
        ("Index,Name\n0,a\n-1,b\n", 2, r"names\.csv line 3: the index must be a whole number. Received: '-1'"),
        ("Index,Name\n0,a\n0,b\n", 2, r"names\.csv line 3: index 0 stands there twice"),
        ("Index,Name\n0,a\n1\n", 2, r"names\.csv line 3: has 1 fields, fewer than the header"),
        (b"Index,Name\n0,\xff\n", 1, "is not a CSV file in UTF-8"),
    ],
)
def test_a_file_that_names_no_classes(read, text, num_classes, message):
    with pytest.raises(DataError, match=message):
        read(text, num_classes)


def test_the_vocabulary_of_2018():
    (path,) = real_files("yt8m_vocabulary_2018.csv")
    names = read_vocabulary(path, 3862)
    assert (names[0], names[1]) == ("Game", "Video game")
    assert names.count("") == 56


def test_the_labels_of_audioset():
    (path,) = real_files("audioset/class_labels_indices.csv")
    names = read_vocabulary(path, 527)
    assert names[1] == "Male speech, man speaking" and all(names)
