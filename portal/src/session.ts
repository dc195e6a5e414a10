// Who is signed in. The token lives in this module and nowhere else: not in storage, not in an address.
// What outlives a reload is the session's cookie, which scripts cannot read.

const SESSION = "/inventory/v1/session";
const EARLY_MS = 30_000;

export interface Person {
  id: string;
  name: string;
  roles: string[];
  groups: string[];
}

interface Token {
  access_token: string;
  expires_at: string;
}

let token: Token | null = null;
let refreshing: Promise<Token | null> | null = null;

export class SignInRefused extends Error {}

/** Start a session with an API key or a token, which is sent once and then forgotten. */
export async function signIn(credential: string): Promise<void> {
  const answer = await fetch(SESSION, {
    method: "POST",
    headers: { Authorization: `Bearer ${credential.trim()}` },
  });
  if (!answer.ok) {
    const problem = await answer.json().catch(() => ({}));
    throw new SignInRefused(
      [problem.detail, problem.next_step].filter(Boolean).join(" ") || answer.statusText,
    );
  }
  if ((await currentToken()) === null) {
    throw new SignInRefused(
      "The browser has not kept the session's cookie. Open the portal by https://, or by http://localhost.",
    );
  }
}

export async function signOut(): Promise<void> {
  await fetch(SESSION, { method: "DELETE" });
  token = null;
}

/** Return a token that is good for a while yet; null where nobody is signed in. */
export async function currentToken(): Promise<string | null> {
  if (token !== null && Date.parse(token.expires_at) - Date.now() > EARLY_MS) {
    return token.access_token;
  }
  refreshing ??= exchanged().finally(() => {
    refreshing = null;
  });
  token = await refreshing;
  return token?.access_token ?? null;
}

export function forgetToken(): void {
  token = null;
}

async function exchanged(): Promise<Token | null> {
  const answer = await fetch(`${SESSION}/token`, { method: "POST" });
  return answer.ok ? ((await answer.json()) as Token) : null;
}

/** Return whom the token speaks for; what it says is for showing only, the services decide. */
export async function person(): Promise<Person | null> {
  const text = await currentToken();
  const claims = text?.split(".")[1];
  if (claims === undefined) {
    return null;
  }
  const bytes = Uint8Array.from(atob(claims.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
  const said = JSON.parse(new TextDecoder().decode(bytes));
  return { id: said.sub, name: said.name ?? said.sub, roles: said.roles ?? [], groups: said.groups ?? [] };
}
