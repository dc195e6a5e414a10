import { Text, Tooltip } from "@mantine/core";

const UNITS: [Intl.RelativeTimeFormatUnit, number][] = [
  ["year", 365.25 * 86400],
  ["month", 30.4 * 86400],
  ["day", 86400],
  ["hour", 3600],
  ["minute", 60],
];
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });

export function relativeTime(instant: string, now = Date.now()): string {
  const seconds = (Date.parse(instant) - now) / 1000;
  for (const [unit, size] of UNITS) {
    if (Math.abs(seconds) >= size) {
      return relative.format(Math.trunc(seconds / size), unit);
    }
  }
  return seconds < 0 ? "just now" : "in a moment";
}

export function exactTime(instant: string | null | undefined): string {
  return instant ? exact.format(new Date(instant)) : "never";
}

/** Return the day of an instant, where the hour says nothing. */
export function dayOf(instant: string): string {
  return day.format(new Date(instant));
}

/** An instant: how far away, and exactly when in the viewer's own zone. */
export function When({ at, none = "never" }: { at: string | null | undefined; none?: string }) {
  if (!at) {
    return (
      <Text span c="dimmed" size="sm">
        {none}
      </Text>
    );
  }
  return (
    <Tooltip label={exactTime(at)} events={{ hover: true, focus: true, touch: true }}>
      <time dateTime={at} className="nowrap">
        {relativeTime(at)}
      </time>
    </Tooltip>
  );
}
