// The five contracts, typed. Whatever is refused comes back as a `Refusal`, with what to do next.
import createClient, { type Middleware } from "openapi-fetch";
import type { paths as Discovery } from "./contracts/discovery";
import type { paths as Inventory } from "./contracts/inventory";
import type { paths as Notifier } from "./contracts/notifier";
import type { paths as Provisioner } from "./contracts/provisioner";
import type { paths as Renewal } from "./contracts/renewal";
import type { Schema } from "./parts/Fields";
import { currentToken, forgetToken } from "./session";

export class Refusal extends Error {
  constructor(
    readonly status: number,
    readonly title: string,
    readonly detail: string,
    readonly nextStep: string,
    readonly traceId: string,
  ) {
    super(detail);
  }
}

const authorised: Middleware = {
  async onRequest({ request }) {
    const token = await currentToken();
    if (token !== null) {
      request.headers.set("Authorization", `Bearer ${token}`);
    }
    return request;
  },
  async onResponse({ response }) {
    if (response.ok) {
      return;
    }
    if (response.status === 401) {
      forgetToken();
    }
    throw await refusal(response);
  },
};

async function refusal(response: Response): Promise<Refusal> {
  const said = await response
    .clone()
    .json()
    .catch(() => ({}));
  return refused(response.status, { title: response.statusText, ...said });
}

/** Return what a problem document says; what it leaves out is said for it. */
export function refused(status: number, said: Record<string, string>): Refusal {
  return new Refusal(
    status,
    said.title ?? "The platform did not answer",
    said.detail ?? "The service gave no reason.",
    said.next_step ?? "Try again; if it stays, look at the service's log.",
    said.trace_id ?? "",
  );
}

function client<Paths extends object>(service: string) {
  const made = createClient<Paths>({ baseUrl: `/${service}` });
  made.use(authorised);
  return made;
}

export const inventory = client<Inventory>("inventory");
export const discovery = client<Discovery>("discovery");
export const renewal = client<Renewal>("renewal");
export const provisioner = client<Provisioner>("provisioner");
export const notifier = client<Notifier>("notifier");

export type Service = "inventory" | "discovery" | "renewal" | "provisioner" | "notifier";
export type Method = "get" | "post" | "put" | "patch" | "delete";

/** As much of a contract as a form is made of. */
export interface Contract {
  paths: Record<
    string,
    Record<string, { requestBody?: { content: Record<string, { schema: Schema }> } } | undefined>
  >;
  components: { schemas: Record<string, Schema> };
}

export async function contract(service: Service): Promise<Contract> {
  const answer = await fetch(`/${service}/openapi.json`);
  if (!answer.ok) {
    throw await refusal(answer);
  }
  return await answer.json();
}

const CLIENTS = { inventory, discovery, renewal, provisioner, notifier };

interface Sent {
  /** What stands for the braces of the path. */
  ids?: Record<string, string>;
  body?: unknown;
  query?: Record<string, unknown>;
  /** What is changed is of this version: it is refused where somebody was faster. */
  version?: number | undefined;
  parseAs?: "json" | "blob";
}

/** Ask for what a form was made for: its path and body are the contract's, read when the form was shown. */
export async function send(
  service: Service,
  method: Method,
  path: string,
  { ids = {}, body, query = {}, version, parseAs = "json" }: Sent,
): Promise<Record<string, unknown>> {
  const asked = CLIENTS[service] as unknown as { request: typeof inventory.request };
  const options = {
    params: { path: ids, query },
    parseAs,
    ...(body === undefined ? {} : { body }),
    ...(version === undefined ? {} : { headers: { "If-Match": `"${version}"` } }),
  };
  const answer = await asked.request(method as never, path as never, options as never);
  return ((answer as { data?: unknown }).data ?? {}) as Record<string, unknown>;
}

/** Return what an answer holds: a refusal was thrown before. */
export async function data<T>(asked: Promise<{ data?: T | undefined }>): Promise<T> {
  return (await asked).data as T;
}
