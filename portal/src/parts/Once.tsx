import { Alert, Code } from "@mantine/core";
import { plain } from "../words";
import { Facts } from "./Facts";

/** What nobody is shown again, by name. */
export function Once({ of }: { of: Record<string, string> }) {
  const every = Object.entries(of).map(([name, value]) => [plain(name), <Code key={name}>{value}</Code>]);
  return (
    <Alert color="teal" title="Shown this once">
      <Facts of={Object.fromEntries(every)} />
      Keep it where secrets are kept: nobody can show it again.
    </Alert>
  );
}
