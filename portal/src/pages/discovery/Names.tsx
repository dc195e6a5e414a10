import { Anchor, Button, Group, Stack, TextInput } from "@mantine/core";
import { useState } from "react";
import { Link } from "react-router";
import { data, discovery } from "../../api";
import { Empty } from "../../parts/Empty";
import { Listing } from "../../parts/Listing";
import { When } from "../../parts/When";
import { askedFor, quoted, shortly } from "../../words";

/** The names that are known under a domain, however they became known. */
export function Names() {
  const [text, setText] = useState("");
  const [under, setUnder] = useState("");
  return (
    <Stack>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          setUnder(text.trim());
        }}
      >
        <Group align="flex-end">
          <TextInput
            label="Under"
            description="This name, and all below it."
            placeholder="example.com"
            required
            value={text}
            onChange={(event) => setText(event.currentTarget.value)}
          />
          <Button type="submit" disabled={!text.trim()}>
            Show
          </Button>
        </Group>
      </form>
      {under ? <NamesUnder domain={under} /> : null}
    </Stack>
  );
}

export function NamesUnder({ domain }: { domain: string }) {
  return (
    <Listing
      label={`Names under ${domain}`}
      queryKey={["names", domain]}
      load={(cursor) =>
        data(
          discovery.GET("/v1/names", { params: { query: { under: domain, ...(cursor ? { cursor } : {}) } } }),
        )
      }
      rowKey={(each) => each.name}
      columns={[
        {
          title: "Name",
          cell: (each) => (
            <Anchor
              component={Link}
              to={askedFor(`name = ${quoted(each.name)}`)}
              size="sm"
              className="breaks"
            >
              {each.name}
            </Anchor>
          ),
        },
        { title: "Known from", cell: (each) => each.origins.join(", ") },
        { title: "Addresses", cell: (each) => shortly(each.addresses) },
        { title: "Last seen", cell: (each) => <When at={each.seen_at} /> },
      ]}
      empty={
        <Empty title="No name is known there">
          Names are read from certificates that are found, from transparency logs, and from reverse lookups.
        </Empty>
      }
    />
  );
}
