"""placeholder"""


def places(out):
    return []


def write(*a):
    print(a)


def show(*a):
    pass
