#!/usr/bin/env python3
"""Records docs/demo.svg: runs the commands of the demo in a terminal and draws what they print.

    python3 docs/record.py            # writes docs/demo.svg; uses the programs in target/debug

The commands run in a new folder with the environment `demo`. Python's standard library is enough.
"""

import fcntl
import os
import pty
import re
import shutil
import struct
import sys
import tempfile
import termios
from pathlib import Path
from xml.sax.saxutils import escape

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = ROOT / "target" / "debug"
COMMANDS = [
    "dumpdb --env=demo",
    "restoredb --env=demo --source backups/dynamodb/demo --table FilmCopy",
    "verifydb --source backups/dynamodb/demo --env=demo --table FilmCopy",
]
COLUMNS, ROWS = 100, 60
# Sizes in pixels, times in seconds.
ADVANCE, LINE, MARGIN = 8.0, 19, 16
PER_LETTER, PER_LINE, PAUSE = 0.03, 0.12, 1.2
COLOURS = {31: "#ff7b72", 32: "#7ee787", 33: "#e3b341", 34: "#79c0ff", 35: "#d2a8ff", 36: "#76e3ea"}
PLAIN, DIM, BACKGROUND = "#e6edf3", "#8b949e", "#0d1117"
SEQUENCE = re.compile(r"\x1b\[([?\d;]*)([A-Za-z])")


class Screen:
    """A terminal that knows what the commands use: colours, carriage returns, moves of the cursor."""

    def __init__(self):
        self.lines, self.row, self.column, self.style = [[]], 0, 0, (PLAIN, False)

    def feed(self, text):
        position = 0
        while position < len(text):
            match = SEQUENCE.match(text, position)
            if match:
                self.control(match.group(1), match.group(2))
                position = match.end()
                continue
            self.put(text[position])
            position += 1

    def put(self, letter):
        if letter == "\n":
            self.row += 1
            while len(self.lines) <= self.row:
                self.lines.append([])
        elif letter == "\r":
            self.column = 0
        elif letter >= " ":
            line = self.lines[self.row]
            line.extend([(" ", self.style)] * (self.column - len(line)))
            line[self.column : self.column + 1] = [(letter, self.style)]
            self.column += 1

    def control(self, numbers, kind):
        values = [int(number) for number in numbers.strip("?").split(";") if number] or [0]
        if kind == "m":
            for value in values:
                colour, is_bold = self.style
                if value == 0:
                    colour, is_bold = PLAIN, False
                elif value == 1:
                    is_bold = True
                elif value == 2:
                    colour = DIM
                else:
                    colour = COLOURS.get(value, colour)
                self.style = (colour, is_bold)
        elif kind == "A":
            self.row = max(0, self.row - max(1, values[0]))
        elif kind == "K":
            line = self.lines[self.row]
            del line[0 if values[0] == 2 else self.column :]
        elif kind == "J":
            del self.lines[self.row][self.column :]
            del self.lines[self.row + 1 :]


def run(command, folder):
    """Runs a command in a terminal of its own and returns what it wrote."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(folder)
        environment = {"PATH": f"{PROGRAMS}:/usr/bin:/bin", "HOME": str(folder), "TERM": "xterm-256color", "LANG": "C.UTF-8"}
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        os.execvpe("/bin/sh", ["sh", "-c", command], environment)

    written = b""
    while True:
        try:
            block = os.read(terminal, 65536)
        except OSError:
            break
        if not block:
            break
        written += block

    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    text = written.decode().replace(str(folder), "~")
    if status != 0:
        sys.exit(f"{command}: exit code {status}\n{text}")
    return text


def spans(line):
    """The letters of a line as SVG, one element for each style."""
    text, start = [], 0
    while start < len(line):
        style = line[start][1]
        end = start
        while end < len(line) and line[end][1] == style:
            end += 1
        letters = "".join(letter for letter, _ in line[start:end])
        weight = ' font-weight="bold"' if style[1] else ""
        text.append(f'<tspan x="{MARGIN + start * ADVANCE:g}" fill="{style[0]}"{weight}>{escape(letters)}</tspan>')
        start = end
    return "".join(text)


def svg(scenes):
    """Scenes are pairs of a command and its lines. Lines appear one after the other."""
    drawn, y, time = [], MARGIN + LINE, 0.5
    for command, lines in scenes:
        prompt = [("$", (DIM, False)), (" ", (PLAIN, False))] + [(letter, (PLAIN, True)) for letter in command]
        for index, line in enumerate([prompt] + lines + [[]]):
            if line:
                drawn.append(f'<text y="{y}" style="animation-delay:{time:.2f}s">{spans(line)}</text>')
            time += PER_LETTER * len(command) if index == 0 else PER_LINE
            y += LINE
        time += PAUSE

    width = 2 * MARGIN + COLUMNS * ADVANCE
    style = (
        "text{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;white-space:pre;opacity:0;"
        "animation:show 0.05s linear forwards}@keyframes show{to{opacity:1}}"
        "@media(prefers-reduced-motion:reduce){text{opacity:1;animation:none}}"
    )
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {y}" width="{width:g}" height="{y}" role="img">',
            "<title>A table is dumped, restored under another name, and compared with the dump</title>",
            f"<style>{style}</style>",
            f'<rect width="100%" height="100%" rx="8" fill="{BACKGROUND}"/>',
            *drawn,
            "</svg>",
            "",
        ]
    )


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        (folder / "envs").mkdir()
        shutil.copy(ROOT / "envs" / ".env.demo", folder / "envs")
        shutil.copytree(ROOT / "envs" / "sample", folder / "envs" / "sample")
        scenes = []
        for command in COMMANDS:
            screen = Screen()
            screen.feed(run(command, folder))
            lines = [line for line in screen.lines]
            while lines and not lines[-1]:
                lines.pop()
            scenes.append((command, lines))

    (ROOT / "docs" / "demo.svg").write_text(svg(scenes), encoding="utf-8")


if __name__ == "__main__":
    main()
