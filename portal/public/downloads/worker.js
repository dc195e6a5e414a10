// A browser writes an answer into a file as it comes only where it goes to an address by itself, and there it sends no
// token. This worker stands at addresses of its own, /downloads/…: it gets a token for the session, asks, and hands on
// what is answered, so that a file of any size goes through nobody's memory and no address has a token in it.
// Nothing else is its business: its scope is its own folder, and it asks for nothing but these.
const PREFIX = "/downloads";
const SERVED = ["/inventory/v1/certificates/export", "/inventory/v1/cbom"];

self.addEventListener("install", () => self.skipWaiting());

self.addEventListener("fetch", (event) => {
  const { pathname, search } = new URL(event.request.url);
  const path = pathname.slice(PREFIX.length);
  if (event.request.mode === "navigate" && SERVED.includes(path)) {
    event.respondWith(file(path + search));
  }
});

/** Return the file, and tell whoever has asked that it has begun; or why not, and stay where one is. */
async function file(address) {
  const said = new BroadcastChannel("everleaf-downloads");
  try {
    const answer = await asked(address);
    if (answer.ok) {
      said.postMessage({ address });
      return answer;
    }
    said.postMessage({
      address,
      refused: { status: answer.status, problem: await answer.json().catch(() => ({})) },
    });
  } catch {
    said.postMessage({ address, refused: { status: 0, problem: {} } });
  } finally {
    said.close();
  }
  return new Response(null, { status: 204 });
}

async function asked(address) {
  const session = await fetch("/inventory/v1/session/token", { method: "POST" });
  if (!session.ok) {
    return session;
  }
  const { access_token } = await session.json();
  return fetch(address, { headers: { Authorization: `Bearer ${access_token}` } });
}
