"""Runs a function of the user on items.

Its arguments are MODULE:FUNCTION or FILE.py:FUNCTION, and optionally SECONDS: then the function is only imported, in this time.

Reads one item in DynamoDB JSON per line, and prints one answer per line:

    =                  the item is unchanged
    -                  the item is skipped
    {...}              the item is replaced by this one
    [{...}<TAB>{...}   the item is replaced by these
    !["...","..."]     the item is rejected: reason and traceback

An answer starts with "~" if the result contains a float. The answer to an import is "=" or "!".
"""

import importlib.util
import json
import os
import signal
import sys
import threading
import traceback
from binascii import a2b_base64, b2a_base64
from collections.abc import Mapping, Set
from decimal import Decimal

READ_BYTES = 64 * 1024

# Answers are written after this many seconds even if the function has not finished the items that were read.
MAX_DELAY_SECONDS = 0.2


class Unusable(Exception):
    """There is no such function."""


class Unstorable(Exception):
    """A value that cannot be converted. Its path has names and indexes, the innermost first."""

    def __init__(self, message):
        super().__init__(message)
        self.path = []

    def __str__(self):
        parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in reversed(self.path)]
        path = "".join(parts).lstrip(".")
        return f'attribute "{path}": {self.args[0]}' if path else self.args[0]


def load(target):
    """Imports the function that `target` names."""
    module_name, _, function_name = target.rpartition(":")
    is_file = module_name.endswith(".py") or "/" in module_name
    value = load_file(module_name) if is_file else load_module(module_name)

    for name in function_name.split("."):
        if not hasattr(value, name):
            raise Unusable(f"`{module_name}` does not define `{function_name}`")
        value = getattr(value, name)

    if not callable(value):
        raise Unusable(f"`{function_name}` is not a function but a value of type {type(value).__name__}")
    return value


def load_module(name):
    # Not importlib.import_module, which would be part of the traceback.
    __import__(name)
    return sys.modules[name]


def load_file(path):
    """Imports a file as a module. It can import modules from its folder, as a script can."""
    name = os.path.splitext(os.path.basename(path))[0]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None:
        raise Unusable(f"`{path}` is not a Python file")

    sys.path.insert(0, os.path.dirname(os.path.abspath(path)))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


class Binary:
    """Behaves like `boto3.dynamodb.types.Binary`, which is used if boto3 is installed."""

    def __init__(self, value):
        if not isinstance(value, (bytes, bytearray)):
            raise TypeError("Value must be of the following types: <class 'bytearray'>, <class 'bytes'>")
        self.value = value

    def __eq__(self, other):
        return self.value == (other.value if isinstance(other, Binary) else other)

    def __ne__(self, other):
        return not self == other

    def __repr__(self):
        return f"Binary({self.value!r})"

    def __str__(self):
        return self.value

    def __bytes__(self):
        return self.value

    def __hash__(self):
        return hash(self.value)


_binary_class = None


def binary_class():
    """The class of binary values. boto3 takes long to import, so it is imported with the first binary value."""
    global _binary_class
    if _binary_class is None:
        try:
            from boto3.dynamodb import types
            _binary_class = types.Binary
        except ImportError:
            _binary_class = Binary
    return _binary_class


class Decoder:
    """Converts an item from DynamoDB JSON to Python's types."""

    def __init__(self):
        # Numbers that Python would write differently: by identity, the number and its original text.
        self.notations = {}

    def attributes(self, typed):
        values = {}
        for name, member in typed.items():
            try:
                (kind, value), = member.items()
                values[name] = value if kind == "S" else DECODERS[kind](self, value)
            except Exception as error:
                raise unsupported(error, member, name)
        return values

    def list(self, typed):
        values = []
        for index, member in enumerate(typed):
            try:
                (kind, value), = member.items()
                values.append(DECODERS[kind](self, value))
            except Exception as error:
                raise unsupported(error, member, index)
        return values

    def number(self, text):
        number = Decimal(text)
        if str(number) != text:
            self.notations[id(number)] = number, text
        return number

    def string_set(self, values):
        elements = set(values)
        if len(elements) != len(values):
            raise Unstorable("a set contains an element twice")
        return elements

    def number_set(self, texts):
        return self.string_set([self.number(text) for text in texts])

    def binary(self, text):
        return binary_class()(a2b_base64(text))

    def binary_set(self, texts):
        return self.string_set([self.binary(text) for text in texts])

    def same(self, value):
        return value

    def null(self, _):
        return None


DECODERS = {
    "S": Decoder.same,
    "N": Decoder.number,
    "BOOL": Decoder.same,
    "NULL": Decoder.null,
    "B": Decoder.binary,
    "M": Decoder.attributes,
    "L": Decoder.list,
    "SS": Decoder.string_set,
    "NS": Decoder.number_set,
    "BS": Decoder.binary_set,
}


def unsupported(error, member, part):
    """The error for a value that cannot be converted to a Python type."""
    if not isinstance(error, Unstorable):
        error = Unstorable(f"cannot be converted to a Python value: {json.dumps(member)[:80]}")
    error.path.append(part)
    return error


class Encoder:
    """Converts Python values to DynamoDB JSON."""

    def __init__(self, notations):
        self.notations = notations
        self.has_floats = False

    def item(self, item, values, typed):
        """Converts an item. Values that are those of the original item, `values`, are taken from `typed`."""
        if not isinstance(item, Mapping):
            raise Unstorable(f"the function returned {type_name(item)}, not a dict, None or a list of dicts")

        attributes = {}
        for name, value in item.items():
            kind = type(value)
            if (kind is str or kind is Decimal) and value is values.get(name):
                attributes[name] = typed[name]
            else:
                attributes[self.name(name)] = self.member(value, name)
        return attributes

    def member(self, value, part):
        """Converts a value in a dict or list."""
        try:
            return ENCODERS.get(type(value), Encoder.other)(self, value)
        except Unstorable as error:
            error.path.append(part)
            raise

    def map(self, values):
        return {"M": {self.name(name): self.member(value, name) for name, value in values.items()}}

    def name(self, name):
        if not isinstance(name, str):
            raise Unstorable(f"a name of type {type_name(name)}; names are strings")
        return name

    def list(self, values):
        return {"L": [self.member(value, index) for index, value in enumerate(values)]}

    def string(self, value):
        return {"S": value}

    def boolean(self, value):
        return {"BOOL": value}

    def null(self, _):
        return {"NULL": True}

    def number(self, value):
        return {"N": self.digits(value)}

    def digits(self, value):
        if type(value) is Decimal:
            if id(value) in self.notations:
                return self.notations[id(value)][1]
        elif isinstance(value, float):
            self.has_floats = True
            value = Decimal(repr(float(value)))
        elif not isinstance(value, Decimal):
            value = Decimal(int(value))

        if not value.is_finite():
            raise Unstorable(f"{value} is not a number that DynamoDB can store")
        return str(value)

    def binary(self, value):
        return {"B": self.base64(value)}

    def base64(self, value):
        return b2a_base64(bytes(value), newline=False).decode()

    def set(self, elements):
        for kind, is_element, convert in (
            ("SS", is_string, str.__str__),
            ("NS", is_number, self.digits),
            ("BS", is_binary, self.base64),
        ):
            if elements and all(map(is_element, elements)):
                # A set has no order. The same set is always written in the same order.
                return {kind: sorted(map(convert, elements))}

        if not elements:
            raise Unstorable("a set without elements")
        types = ", ".join(sorted({type_name(element) for element in elements}))
        raise Unstorable(f"a set with elements of {types}; a set has only strings, only numbers or only binary values")

    def other(self, value):
        """Converts a value of a less common type."""
        for is_convertible, convert in (
            (is_string, lambda self, value: self.string(str.__str__(value))),
            (is_number, Encoder.number),
            (is_binary, Encoder.binary),
            (lambda value: isinstance(value, Mapping), Encoder.map),
            (lambda value: isinstance(value, Set), Encoder.set),
            (lambda value: isinstance(value, (list, tuple)), Encoder.list),
        ):
            if is_convertible(value):
                return convert(self, value)

        raise Unstorable(f"DynamoDB cannot store a value of type {type_name(value)}")


ENCODERS = {
    str: Encoder.string,
    Decimal: Encoder.number,
    int: Encoder.number,
    bool: Encoder.boolean,
    type(None): Encoder.null,
    dict: Encoder.map,
    list: Encoder.list,
    set: Encoder.set,
}


def is_string(value):
    return isinstance(value, str)


def is_number(value):
    return isinstance(value, (int, Decimal, float)) and not isinstance(value, bool)


def is_binary(value):
    return isinstance(value, (bytes, bytearray, Binary, binary_class()))


def type_name(value):
    kind = type(value)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode
from_json = json.JSONDecoder().decode


class Worker:
    """Answers items with a function."""

    def __init__(self, function):
        self.function = function
        self.has_sent_traceback = False

    def answer(self, line):
        try:
            return self.outcome(line).encode()
        except Unstorable as error:
            return rejection(str(error))
        except UnicodeEncodeError:
            return rejection("a string has a surrogate that is not part of a pair")

    def outcome(self, line):
        typed = from_json(line.decode())
        decoder = Decoder()
        item = decoder.attributes(typed)
        # The function may change the item itself.
        values = dict(item)

        try:
            result = self.function(item)
        except Exception as error:
            return self.failure(error)

        if result is None:
            return "-"

        encoder = Encoder(decoder.notations)
        results = result if isinstance(result, list) else [result]
        items = [encoder.item(result, values, typed) for result in results]
        floats = "~" if encoder.has_floats else ""

        if not items:
            return "-"
        if len(items) > 1:
            return floats + "[" + "\t".join(map(to_json, items))
        return "=" if items[0] == typed else floats + to_json(items[0])

    def failure(self, error):
        """The answer for an exception. Only the first one has a traceback."""
        details = None if self.has_sent_traceback else formatted_traceback(error)
        self.has_sent_traceback = True
        return rejection(exception_text(error), details).decode()


def rejection(reason, details=None):
    # ASCII, because a message may contain characters that cannot be encoded.
    return ("!" + json.dumps([reason, details])).encode()


def exception_text(error):
    text = traceback.format_exception_only(type(error), error)[-1].strip()
    name, separator, message = text.partition(": ")
    return name.rpartition(".")[2] + separator + message


def formatted_traceback(error):
    """The traceback of an exception, without this file and the import system."""
    frames = traceback.extract_tb(error.__traceback__)
    frames = [frame for frame in frames if frame.filename != "<string>" and not frame.filename.startswith("<frozen ")]
    lines = traceback.format_list(frames) + traceback.format_exception_only(type(error), error)
    return "Traceback (most recent call last):\n" + "".join(lines)


class Answers:
    """Writes answers. A thread writes those that are waiting while the function takes long."""

    def __init__(self, descriptor):
        self.descriptor = descriptor
        self.waiting = []
        self.lock = threading.Lock()

    def add(self, answer):
        self.waiting.append(answer)

    def write(self):
        with self.lock:
            # Others may be added meanwhile.
            lines = self.waiting[:]
            del self.waiting[: len(lines)]
            data = memoryview(b"".join(line + b"\n" for line in lines))
            while data:
                data = data[os.write(self.descriptor, data):]

    def write_regularly(self):
        stopped = threading.Event()
        while not stopped.wait(MAX_DELAY_SECONDS):
            if self.waiting:
                self.write()


def lines_of(descriptor, before_read):
    """The lines of an input. Calls `before_read` when all lines that were read are used."""
    rest = []
    while True:
        before_read()
        block = os.read(descriptor, READ_BYTES)
        if not block:
            return

        first, *lines = block.split(b"\n")
        rest.append(first)
        if lines:
            yield b"".join(rest)
            rest = [lines.pop()]
            yield from lines


def run(function, source, answers):
    worker = Worker(function)
    threading.Thread(target=answers.write_regularly, daemon=True).start()
    try:
        for line in lines_of(source, answers.write):
            answers.add(worker.answer(line))
    finally:
        answers.write()


def check(target, seconds, answers):
    # Without a handler, the signal ends this process.
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        load(target)
    except Unusable as error:
        answers.add(rejection(str(error)))
    except BaseException as error:
        answers.add(rejection(exception_text(error), formatted_traceback(error)))
    else:
        answers.add(b"=")
    answers.write()


def main():
    _, target, *seconds = sys.argv
    sys.argv = sys.argv[:1]

    # What the function prints or reads must not be part of the items. Processes that it starts are included.
    source, answers = os.dup(0), Answers(os.dup(1))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)

    if seconds:
        check(target, float(seconds[0]), answers)
    else:
        run(load(target), source, answers)


if __name__ == "__main__":
    main()
