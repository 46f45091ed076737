#!/usr/bin/env python3
"""Works out the rows of table.tsv in another way than the program does.

Working time is counted minute by minute (second by second to the first whole minute), bank
holidays by their rules and not from a list. Standard library only.
"""

import sys
from datetime import date, datetime, time, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

LONDON = ZoneInfo("Europe/London")


def easter(year):
    """The anonymous Gregorian computus."""
    a, b, c = year % 19, year // 100, year % 100
    d, e = divmod(b, 4)
    g = (8 * b + 13) // 25
    h = (19 * a + b - d - g + 15) % 30
    i, k = divmod(c, 4)
    m = (32 + 2 * e + 2 * i - h - k) % 7
    n = (a + 11 * h + 22 * m) // 451
    month, day = divmod(h + m - 7 * n + 114, 31)
    return date(year, month, day + 1)


def monday(year, month, last=False):
    days = [date(year, month, 1) + timedelta(n) for n in range(31)]
    days = [day for day in days if day.month == month and day.weekday() == 0]
    return days[-1 if last else 0]


def with_substitutes(days):
    """Each day that falls on a weekend moves to the next weekday that is not taken."""
    taken = {day for day in days if day.weekday() < 5}
    for day in sorted(day for day in days if day.weekday() >= 5):
        while day.weekday() >= 5 or day in taken:
            day += timedelta(1)
        taken.add(day)
    return taken


def holidays(nation, year):
    sunday = easter(year)
    fixed = [date(year, 1, 1), date(year, 12, 25), date(year, 12, 26)]
    days = {sunday - timedelta(2), monday(year, 5), monday(year, 5, last=True)}
    if nation == "scotland":
        fixed += [date(year, 1, 2), date(year, 11, 30)]
        days.add(monday(year, 8))
        if year == 2026:
            days.add(date(2026, 6, 15))
    else:
        days |= {sunday + timedelta(1), monday(year, 8, last=True)}
    if nation == "northern-ireland":
        fixed += [date(year, 3, 17), date(year, 7, 12)]
    return days | with_substitutes(fixed)


class Calendar:
    def __init__(self, name, closed):
        self.always = True
        self.opens, self.closes, self.closed = time(9), time(17), closed
        for nation in ("scotland", "england", "northern-ireland"):
            if name in (f"{nation}-working-hours", f"{nation}-school-days"):
                self.always, self.nation = False, nation
                if name.endswith("school-days"):
                    self.closes = time(15, 30)

    def is_open_on(self, day):
        if self.always:
            return True
        return day.weekday() < 5 and day not in self.closed and day not in holidays(self.nation, day.year)

    def works_at(self, moment):
        if self.always:
            return True
        local = moment.astimezone(LONDON)
        return self.is_open_on(local.date()) and self.opens <= local.time() < self.closes


def tick(moment):
    return timedelta(seconds=1 if moment.second else 60)


def local(day, at):
    """A time of a day in London; one that the clocks skip is when they do."""
    moment = datetime.combine(day, at, LONDON).astimezone(timezone.utc)
    while moment.astimezone(LONDON).time() != at:
        before = (moment - timedelta(minutes=1)).astimezone(LONDON)
        if before.time() < at:
            break
        moment -= timedelta(minutes=1)
    return moment


def due(calendar, clock, start):
    kind, _, amount = clock.partition(" ")
    amount = int(amount or 0)
    moment = start.astimezone(timezone.utc)
    here = start.astimezone(LONDON)
    if kind == "elapsed":
        return moment + timedelta(minutes=amount)
    if kind == "calendar-days":
        return local(here.date() + timedelta(amount), here.time())
    if kind == "next-school-day":
        day = here.date()
        while not (calendar.is_open_on(day) and local(day, calendar.opens) > moment):
            day += timedelta(1)
        return local(day, calendar.opens)
    if kind == "working":
        left = timedelta(minutes=amount)
        while left:
            step = min(tick(moment), left)
            if calendar.works_at(moment):
                left -= step
            moment += step
        return moment
    if kind == "working-days":
        while not calendar.works_at(moment):
            moment += tick(moment)
        here = moment.astimezone(LONDON)
        day = here.date()
        for _ in range(amount):
            day += timedelta(1)
            while not calendar.is_open_on(day):
                day += timedelta(1)
        return local(day, here.time())
    raise ValueError(clock)


def main():
    table = Path(__file__).with_name("table.tsv").read_text().splitlines()
    rows = [line.split("\t") for line in table if line and not line.startswith("#")]
    wrong = 0
    for name, closed, clock, start, expected, why in rows:
        days = {date.fromisoformat(day) for day in closed.split(",") if day}
        found = due(Calendar(name, days), clock, datetime.fromisoformat(start))
        if found != datetime.fromisoformat(expected):
            wrong += 1
            print(f"{name} {clock} {start}: {found.astimezone(LONDON)}, the table has {expected} ({why})")
    print(f"{len(rows)} deadlines worked out again, {wrong} differ")
    return 1 if wrong or len(rows) < 60 else 0


sys.exit(main())
