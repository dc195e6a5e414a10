// Files of any size: the browser writes them as they come (public/downloads/worker.js), by the session and with no token
// in an address.
import { refused, type Service, send } from "./api";
import { keep } from "./parts/save";

const WORKER = "/downloads/worker.js";
const CHANNEL = "everleaf-downloads";

interface Said {
  address: string;
  refused?: { status: number; problem: Record<string, string> };
}

export interface Wanted {
  service: Service;
  /** One of those that the worker serves. */
  path: string;
  query: Record<string, string>;
  /** What the file is called where the browser lets no worker help: it goes through memory then. */
  name: string;
}

/** Have an answer written into a file; it is begun when this returns. What is refused is thrown. */
export async function download({ service, path, query, name }: Wanted): Promise<void> {
  if (await isWorkerThere()) {
    return begun(`/${service}${path}?${new URLSearchParams(query)}`);
  }
  keep((await send(service, "get", path, { query, parseAs: "blob" })) as unknown as Blob, name);
}

/** Return whether the worker is at work: private windows of some browsers have none. */
async function isWorkerThere(): Promise<boolean> {
  try {
    const made = await navigator.serviceWorker.register(WORKER);
    const coming = made.installing ?? made.waiting;
    if (made.active === null && coming) {
      await new Promise<void>((over) => {
        coming.addEventListener("statechange", () => {
          if (coming.state === "activated" || coming.state === "redundant") over();
        });
      });
    }
    return made.active !== null;
  } catch {
    return false;
  }
}

function begun(address: string): Promise<void> {
  const heard = new BroadcastChannel(CHANNEL);
  return new Promise<void>((done, fail) => {
    heard.onmessage = ({ data }: MessageEvent<Said>) => {
      if (data.address !== address) return;
      if (data.refused) fail(refused(data.refused.status, data.refused.problem));
      else done();
    };
    // It is answered with a file, or with nothing: either way this page stays.
    window.location.assign(`/downloads${address}`);
  }).finally(() => heard.close());
}
