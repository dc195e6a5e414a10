import { Anchor } from "@mantine/core";
import { Link } from "react-router";
import { Empty } from "../parts/Empty";
import { Page } from "../parts/Page";

export function NotFound() {
  return (
    <Page title="Nothing is here">
      <Empty title="There is no such page">
        Go back to the{" "}
        <Anchor component={Link} to="/">
          overview
        </Anchor>
        .
      </Empty>
    </Page>
  );
}
