// What the platform tells as it happens. It says that something has changed, never what is so now: that is asked for
// where it is, by the routes and with the rights that show it.
import { useQueryClient } from "@tanstack/react-query";
import { EventSourceParserStream } from "eventsource-parser/stream";
import { useEffect } from "react";
import { notifier } from "./api";

const WAIT_S = 50;
const AGAIN_MS = 3_000;
/** What comes together is asked for once. */
const GATHER_MS = 400;

/** By the beginning of an event's type: what is shown from what it has changed. */
const CONCERNS: [string, string[]][] = [
  [
    "certificate",
    ["certificate", "certificates", "summary", "unhandled", "forecast", "findings", "timeline", "chains"],
  ],
  ["certificates.arrived", ["issuers", "issuer", "keys", "key", "wildcards", "places"]],
  [
    "lineages.grouped",
    ["certificate", "certificates", "summary", "unhandled", "forecast", "groups", "alerts"],
  ],
  ["lineage.", ["certificates", "summary", "unhandled", "schedule", "schedules", "adoption", "forecast"]],
  ["certificate.renewed", ["orders", "order", "schedule", "schedules", "campaigns"]],
  ["certificate.deployed", ["deployments", "deployment", "rollouts", "rollout", "orders", "order"]],
  ["certificate.replaced", ["deployments", "deployment", "orders", "order", "schedule", "schedules"]],
  ["renewal.", ["orders", "order", "schedule", "schedules", "approvals", "approval"]],
  ["approval.", ["approvals", "approval", "orders", "order", "campaigns"]],
  ["deployment.", ["deployments", "deployment", "rollouts", "rollout", "approvals", "approval"]],
  ["campaign.", ["campaigns", "orders"]],
  ["alert.", ["alerts", "alert"]],
  ["place.", ["certificate", "summary", "places", "findings"]],
  ["authority.", ["issuers", "issuer"]],
  ["certificate.revoked", ["revocation"]],
  ["revocation.", ["revocation"]],
  ["scan.", ["scans", "scan-schedules"]],
  ["source.", ["sources"]],
];

interface Change {
  type: string;
  subject: string | null;
  lineage_id: string | null;
}

/** Return the first words of the queries that an event concerns. */
export function concerned(type: string): string[] {
  return CONCERNS.filter(([begins]) => type.startsWith(begins)).flatMap(([, keys]) => keys);
}

/** Listen as long as somebody is signed in, and have everything asked for again that an event concerns. */
export function useChanges(): void {
  const known = useQueryClient();
  useEffect(() => {
    const stopped = new AbortController();
    const waiting = new Set<string>();
    let timer: number | undefined;
    const refresh = () => {
      const keys = [...waiting];
      waiting.clear();
      timer = undefined;
      for (const key of keys) void known.invalidateQueries({ queryKey: [key] });
    };
    const heard = (change: Change) => {
      for (const key of concerned(change.type)) waiting.add(key);
      timer ??= window.setTimeout(refresh, GATHER_MS);
    };
    // A browser has few connections to one host: of all its tabs one listens, and tells the others.
    const tabs = new BroadcastChannel("everleaf-changes");
    tabs.onmessage = (message: MessageEvent<Change>) => heard(message.data);
    const tell = (change: Change) => {
      heard(change);
      tabs.postMessage(change);
    };
    const listening = () => follow(tell, stopped.signal);
    void (
      navigator.locks?.request("everleaf-changes", { signal: stopped.signal }, listening) ?? listening()
    ).catch(
      () => undefined, // it was left before its turn came
    );
    return () => {
      stopped.abort();
      tabs.close();
      window.clearTimeout(timer);
    };
  }, [known]);
}

/** Follow the stream, over and over, from the last that was heard. */
async function follow(tell: (change: Change) => void, signal: AbortSignal): Promise<void> {
  const at: Place = { last: undefined };
  while (!signal.aborted) {
    const begun = Date.now();
    // What broke off is begun again like what has ended.
    await once(tell, signal, at).catch(() => undefined);
    if (Date.now() - begun < AGAIN_MS) {
      await new Promise((again) => setTimeout(again, AGAIN_MS));
    }
  }
}

/** How far one has come: it outlives a stream that breaks off. */
interface Place {
  last: string | undefined;
}

/** Follow the stream until it ends; what breaks it off is thrown. */
async function once(tell: (change: Change) => void, signal: AbortSignal, at: Place): Promise<void> {
  const { data: stream } = await notifier.GET("/v1/changes", {
    params: { query: { wait: WAIT_S } },
    headers: at.last === undefined ? {} : { "Last-Event-ID": at.last },
    parseAs: "stream",
    signal,
  });
  const events = (stream as unknown as ReadableStream<BufferSource> | null)
    ?.pipeThrough(new TextDecoderStream())
    .pipeThrough(new EventSourceParserStream())
    .getReader();
  for (let next = await events?.read(); next && !next.done; next = await events?.read()) {
    at.last = next.value.id ?? at.last;
    if (next.value.event === "change") tell(JSON.parse(next.value.data));
  }
}
