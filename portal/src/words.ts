// What the platform's words look like to people.

export const SEVERITY_COLOR: Record<string, string> = {
  info: "blue",
  notice: "blue",
  warning: "yellow",
  error: "orange",
  critical: "red",
  fatal: "red",
  low: "blue",
  medium: "yellow",
  high: "orange",
};

export const URGENCY_COLOR: Record<string, string> = {
  renew: "teal",
  warning: "yellow",
  error: "orange",
  critical: "red",
  expired: "red",
};

const GOOD = [
  "done",
  "valid",
  "deployed",
  "renewed",
  "finished",
  "granted",
  "resolved",
  "delivered",
  "bound",
  "replaced",
  "approved",
  "confirmed",
  "current",
  "good",
];
const BAD = [
  "untrusted",
  "invalid",
  "expired-issuer",
  "unreadable",
  "failed",
  "needs_attention",
  "refused",
  "expired",
  "aborted",
  "revoked",
  "wrong",
  "forked",
];
const WAITING = [
  "incomplete",
  "wrong-order",
  "outlives-issuer",
  "extra",
  "self-signed",
  "waiting",
  "awaiting_approval",
  "awaiting_request",
  "paused",
  "restored",
  "planned",
  "requested",
  "awaiting_replacement",
  "unconfirmed",
  "unreachable",
  "away",
];
const OFF = ["off", "disabled", "withdrawn", "ended"];

export function stateColor(state: string): string {
  if (GOOD.includes(state)) return "teal";
  if (BAD.includes(state)) return "red";
  if (WAITING.includes(state)) return "yellow";
  if (OFF.includes(state)) return "gray";
  return "blue";
}

export function plain(word: string): string {
  return word.replace(/[-_]/g, " ");
}

export const REASON: Record<string, string> = {
  ari: "the authority's window",
  profile: "the profile",
  fraction: "a part of its lifetime",
  revoked: "it was revoked",
  noncompliant: "it breaks a policy",
  distrusted: "its issuer is trusted no more",
  expiring: "it expires",
  asked: "somebody asked",
  unknown: "not known yet",
};

/** Return the name people know a certificate by. */
export function nameOf(certificate: {
  names: string[];
  subject?: string | null;
  fingerprint: string;
}): string {
  return certificate.names[0] ?? certificate.subject ?? certificate.fingerprint.slice(0, 16);
}

/** Return where the certificates are that a query finds. */
export function askedFor(query: string): string {
  return `/certificates?query=${encodeURIComponent(query)}`;
}

/** Return a text as the query language takes it, whatever is in it. */
export function quoted(text: string): string {
  return `"${text.replace(/["\\]/g, "\\$&")}"`;
}

/** Return what people call a place: an endpoint with the name that is asked for there, or a store. */
export function placeOf(place: {
  address: string;
  port?: number | null;
  server_name?: string | null;
  path?: string | null;
}): string {
  if (place.path) return `${place.address} ${place.path}`;
  const name = place.server_name && place.server_name !== place.address ? ` (${place.server_name})` : "";
  return `${place.address}:${place.port}${name}`;
}

/** Return what people call an issuer: its common name, or all of it where it has none. */
export function issuerOf(distinguished: string): string {
  const common = /(?:^|[,+])CN=((?:\\.|[^\\,+])+)/.exec(distinguished)?.[1];
  return common?.replace(/\\([^0-9a-fA-F])/g, "$1") ?? distinguished;
}

export function count(number: number): string {
  return number.toLocaleString();
}

export function many(number: number, one: string, several = `${one}s`): string {
  return `${count(number)} ${number === 1 ? one : several}`;
}

/** Return the kind of a key and, where the kind does not say it, its size. */
export function keyOf(certificate: { key_type?: string | null; key_bits?: number | null }): string {
  const { key_type: kind, key_bits: bits } = certificate;
  if (!kind) return "unreadable";
  return bits && !kind.endsWith(String(bits)) ? `${kind} ${bits}` : kind;
}

/** Return the first of many, and how many more there are. */
export function shortly(all: string[]): string {
  const [first = "", ...others] = all;
  return others.length ? `${first} and ${count(others.length)} more` : first;
}

const UNITS = { D: "day", H: "hour", M: "minute", S: "second" };

/** Return a duration of the contracts, `P90D` or `PT4H`, in words. */
export function lasting(duration: string): string {
  const parts = [...duration.matchAll(/(\d+)([DHMS])/g)].filter(([, amount]) => Number(amount) > 0);
  const said = parts.map(([, amount, unit]) => many(Number(amount), UNITS[unit as keyof typeof UNITS]));
  return said.join(" ") || duration;
}
