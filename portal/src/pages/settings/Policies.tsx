import { data, inventory, send } from "../../api";
import { Act } from "../../parts/Act";
import { Empty } from "../../parts/Empty";
import { Listing } from "../../parts/Listing";
import { State } from "../../parts/Marks";

export function Policies() {
  return (
    <Listing
      label="Policies"
      queryKey={["policies"]}
      load={(cursor) => data(inventory.GET("/v1/policies", { params: { query: cursor ? { cursor } : {} } }))}
      rowKey={(each) => each.id}
      columns={[
        { title: "Policy", cell: (each) => each.title },
        { title: "Version", cell: (each) => each.version },
        { title: "State", cell: (each) => <State of={each.is_enabled ? "enabled" : "off"} /> },
        {
          title: "",
          cell: (each) => {
            const verb = each.is_enabled ? "disable" : "enable";
            return (
              <Act
                label={each.is_enabled ? "Switch off" : "Switch on"}
                variant="default"
                what={
                  each.is_enabled
                    ? `${each.title} is judged by no more, and its alerts end.`
                    : `Everything is judged by ${each.title} from now on.`
                }
                run={() =>
                  send("inventory", "post", `/v1/policies/{policy_id}/${verb}`, {
                    ids: { policy_id: each.id },
                  })
                }
              />
            );
          },
        },
      ]}
      empty={<Empty title="There is no policy">Mozilla, NIST, BSI and CNSA come along.</Empty>}
    />
  );
}
