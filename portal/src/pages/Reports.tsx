import { Button, Group, Select, Stack, TextInput } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { data, notifier } from "../api";
import type { paths } from "../contracts/notifier";
import { Act } from "../parts/Act";
import { Card } from "../parts/Card";
import { Empty } from "../parts/Empty";
import { Failure } from "../parts/Failure";
import { Form } from "../parts/Form";
import { Listing } from "../parts/Listing";
import { Page } from "../parts/Page";
import { save } from "../parts/save";
import { Upkeep } from "../parts/Upkeep";
import { When } from "../parts/When";
import { plain } from "../words";

type Wanted = NonNullable<paths["/v1/reports"]["get"]["parameters"]["query"]>;
const KINDS = ["expiring", "compliance", "ownership", "renewals", "exceptions", "forecast"];
const FORMATS = ["pdf", "html", "csv"];

const MAILED = ["name", "report", "format", "query", "days", "cron", "zone", "channel_id", "recipients"];

export function Reports() {
  const mail = useMailChoices();
  return (
    <Page title="Reports" lead="What you may see, as a file: now, or by mail again and again.">
      <Stack>
        <Making />
        <Listing
          label="Reports that are mailed"
          actions={
            <Form
              label="Mail one again and again"
              service="notifier"
              path="/v1/report-schedules"
              choices={{ channel_id: mail }}
            />
          }
          queryKey={["report-schedules"]}
          load={(cursor) =>
            data(notifier.GET("/v1/report-schedules", { params: { query: cursor ? { cursor } : {} } }))
          }
          rowKey={(each) => each.id}
          columns={[
            { title: "Name", cell: (each) => each.name },
            { title: "Report", cell: (each) => plain(each.report) },
            { title: "Repeats", cell: (each) => <span className="mono">{each.cron}</span> },
            { title: "Next", cell: (each) => <When at={each.next_at} none="off" /> },
            {
              title: "",
              cell: (each) => (
                <Upkeep
                  of={each}
                  service="notifier"
                  path="/v1/report-schedules/{schedule_id}"
                  ids={{ schedule_id: each.id }}
                  fields={MAILED}
                  choices={{ channel_id: mail }}
                  gone={`${each.name} is mailed no more.`}
                >
                  <Act
                    label="Send now"
                    variant="default"
                    what={`${each.name} goes out at once, and then as before.`}
                    run={() =>
                      data(
                        notifier.POST("/v1/report-schedules/{schedule_id}/send", {
                          params: { path: { schedule_id: each.id } },
                        }),
                      )
                    }
                  />
                </Upkeep>
              ),
            },
          ]}
          empty={
            <Empty title="No report is mailed">
              One goes out every Monday, say, by a channel that is mail.
            </Empty>
          }
        />
      </Stack>
    </Page>
  );
}

/** Channels that carry files, by name, for forms that take the id of one. */
function useMailChoices() {
  const channels = useQuery({
    queryKey: ["channels", "choices"],
    queryFn: () => data(notifier.GET("/v1/channels", { params: { query: { limit: 1000 } } })),
  });
  const mail = channels.data?.items.filter((each) => each.kind === "email") ?? [];
  return mail.map((each) => ({ value: each.id, label: each.name }));
}

function Making() {
  const [report, setReport] = useState<string>("expiring");
  const [format, setFormat] = useState<string>("pdf");
  const [query, setQuery] = useState("");
  const made = useMutation({
    mutationFn: () => {
      const wanted = { report, format, ...(query.trim() ? { query: query.trim() } : {}) } as Wanted;
      const asked = notifier.GET("/v1/reports", { params: { query: wanted }, parseAs: "blob" });
      return save(asked, `everleaf-${report}.${format}`);
    },
  });
  return (
    <Card title="Make one now">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          made.mutate();
        }}
      >
        <Group align="flex-end">
          <Select
            label="Report"
            data={KINDS}
            value={report}
            allowDeselect={false}
            onChange={(value) => setReport(value ?? "expiring")}
          />
          <Select
            label="As"
            data={FORMATS}
            value={format}
            allowDeselect={false}
            w={110}
            onChange={(value) => setFormat(value ?? "pdf")}
          />
          <TextInput
            label="Only what this query finds"
            value={query}
            onChange={(event) => setQuery(event.currentTarget.value)}
          />
          <Button type="submit" loading={made.isPending}>
            Make
          </Button>
        </Group>
        {made.error ? <Failure error={made.error} /> : null}
      </form>
    </Card>
  );
}
