// Writes the types of the five contracts: the portal knows nothing of the platform but these.
import { mkdir, writeFile } from "node:fs/promises";
import openapiTS, { astToString } from "openapi-typescript";

const SERVICES = ["inventory", "discovery", "renewal", "provisioner", "notifier"];
const folder = new URL("src/contracts/", import.meta.url);

await mkdir(folder, { recursive: true });
for (const service of SERVICES) {
  const contract = new URL(`../services/${service}/openapi.json`, import.meta.url);
  const types = astToString(await openapiTS(contract));
  await writeFile(new URL(`${service}.ts`, folder), types);
}
