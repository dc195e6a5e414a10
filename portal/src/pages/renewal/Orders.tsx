import { Anchor } from "@mantine/core";
import { Link } from "react-router";
import { data, renewal } from "../../api";
import { Empty } from "../../parts/Empty";
import { Listing } from "../../parts/Listing";
import { State } from "../../parts/Marks";
import { When } from "../../parts/When";
import { Who } from "../../parts/Who";
import { shortly } from "../../words";

export function Orders() {
  return (
    <Listing
      label="Orders"
      queryKey={["orders"]}
      every={3_000}
      load={(cursor) => data(renewal.GET("/v1/orders", { params: { query: cursor ? { cursor } : {} } }))}
      rowKey={(each) => each.id}
      columns={[
        {
          title: "Names",
          cell: (each) => (
            <Anchor component={Link} to={`/orders/${each.id}`} size="sm">
              {shortly(each.names)}
            </Anchor>
          ),
        },
        { title: "Authority", cell: (each) => each.authority },
        { title: "State", cell: (each) => <State of={each.state} /> },
        { title: "Held by", cell: (each) => each.held_by },
        { title: "Ordered", cell: (each) => <When at={each.created_at} /> },
        { title: "By", cell: (each) => <Who id={each.created_by} /> },
        { title: "Seen in place", cell: (each) => <When at={each.observed_at} none="not yet" /> },
      ]}
      empty={
        <Empty title="Nothing was ordered yet">Orders are made when a lineage is due, or by hand.</Empty>
      }
    />
  );
}
