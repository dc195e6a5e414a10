import { Anchor, Group, SegmentedControl, Stack } from "@mantine/core";
import { Link, useSearchParams } from "react-router";
import { data, inventory } from "../api";
import type { paths } from "../contracts/inventory";
import { Empty } from "../parts/Empty";
import { Listing } from "../parts/Listing";
import { Urgency } from "../parts/Marks";
import { Page } from "../parts/Page";
import { When } from "../parts/When";
import { count, issuerOf } from "../words";

type Wanted = NonNullable<paths["/v1/issuers"]["get"]["parameters"]["query"]>;

const DAY_MS = 86_400_000;

/** What can be asked for, as the contract asks for it. */
const SHOWN: Record<string, { label: string; query: () => Wanted }> = {
  all: { label: "all", query: () => ({}) },
  ending: {
    label: "end within a year",
    query: () => ({ expires_before: new Date(Date.now() + 365 * DAY_MS).toISOString() }),
  },
  outlived: { label: "are outlived", query: () => ({ outlived: true }) },
};

/** The intermediates and roots that are served, those that end first at the top. */
export function Issuers() {
  const [params, setParams] = useSearchParams();
  const show = params.get("show") ?? "all";
  return (
    <Page
      title="Issuers"
      lead="Intermediates and roots as they are served: when they end, what is wrong with them, and what depends on them."
    >
      <Stack>
        <Group>
          <SegmentedControl
            aria-label="Which issuers"
            value={show}
            onChange={(value) => setParams({ show: value }, { replace: true })}
            data={Object.entries(SHOWN).map(([value, { label }]) => ({ value, label }))}
          />
        </Group>
        <Listing
          label="Issuers"
          queryKey={["issuers", show]}
          load={(cursor) =>
            data(
              inventory.GET("/v1/issuers", {
                params: { query: { ...SHOWN[show]?.query(), ...(cursor ? { cursor } : {}) } },
              }),
            )
          }
          rowKey={(each) => each.fingerprint}
          columns={[
            {
              title: "Issuer",
              cell: (each) => (
                <Anchor
                  component={Link}
                  to={`/issuers/${each.fingerprint}`}
                  size="sm"
                  display="block"
                  miw={200}
                  className="breaks"
                  title={each.subject ?? undefined}
                >
                  {each.subject ? issuerOf(each.subject) : each.fingerprint}
                </Anchor>
              ),
            },
            { title: "Kind", cell: (each) => (each.is_self_issued ? "root" : "intermediate") },
            { title: "Ends", cell: (each) => <When at={each.not_after} /> },
            { title: "State", cell: (each) => <Urgency of={each.urgency} /> },
            { title: "Certificates under it", cell: (each) => count(each.leaves.known) },
            { title: "That outlive it", cell: (each) => count(each.leaves.outliving) },
          ]}
          empty={
            <Empty title={show === "all" ? "No issuer is known" : "There is none of these"}>
              They are read from the chains that are served: one that no server sends is not among them.
            </Empty>
          }
        />
      </Stack>
    </Page>
  );
}
