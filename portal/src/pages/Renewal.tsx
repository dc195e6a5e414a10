import { Page } from "../parts/Page";
import { Sections } from "../parts/Sections";
import { Authorities } from "./renewal/Authorities";
import { Orders } from "./renewal/Orders";
import { Profiles } from "./renewal/Profiles";
import { Schedule } from "./renewal/Schedule";

const SECTIONS = [
  { id: "schedule", title: "Schedule", shown: <Schedule /> },
  { id: "orders", title: "Orders", shown: <Orders /> },
  { id: "profiles", title: "Profiles", shown: <Profiles /> },
  { id: "authorities", title: "Authorities", shown: <Authorities /> },
];

export function Renewal() {
  return (
    <Page
      title="Renewal"
      lead="When each lineage is renewed and why then, and what has become of every order."
    >
      <Sections of={SECTIONS} />
    </Page>
  );
}
