import { Badge } from "@mantine/core";
import { plain, SEVERITY_COLOR, stateColor, URGENCY_COLOR } from "../words";

function Mark({ color, word }: { color: string; word: string }) {
  return (
    <Badge color={color} variant="light" radius="sm" tt="none" miw="max-content" className="mark">
      {plain(word)}
    </Badge>
  );
}

export function Severity({ of }: { of: string }) {
  return <Mark color={SEVERITY_COLOR[of] ?? "gray"} word={of} />;
}

export function Urgency({ of }: { of: string | null | undefined }) {
  return of ? <Mark color={URGENCY_COLOR[of] ?? "gray"} word={of} /> : <Mark color="teal" word="healthy" />;
}

export function State({ of }: { of: string }) {
  return <Mark color={stateColor(of)} word={of} />;
}

/** Whether a certificate is in use, and how urgent it is. */
export function Standing({ of }: { of: { is_current: boolean; urgency?: string | null } }) {
  return of.is_current ? <Urgency of={of.urgency} /> : <Mark color="gray" word="not in use" />;
}

export function Nobody() {
  return <Mark color="gray" word="nobody" />;
}
