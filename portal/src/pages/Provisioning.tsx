import { Page } from "../parts/Page";
import { Sections } from "../parts/Sections";
import { Bindings } from "./provisioning/Bindings";
import { Deployments } from "./provisioning/Deployments";
import { Proposals } from "./provisioning/Proposals";
import { Rollouts } from "./provisioning/Rollouts";
import { Targets } from "./provisioning/Targets";
import { WindowsAndFreezes } from "./provisioning/WindowsAndFreezes";

const SECTIONS = [
  { id: "deployments", title: "Deployments", shown: <Deployments /> },
  { id: "rollouts", title: "Rollouts", shown: <Rollouts /> },
  { id: "windows", title: "Windows and freezes", shown: <WindowsAndFreezes /> },
  { id: "targets", title: "Targets", shown: <Targets /> },
  { id: "bindings", title: "Bindings", shown: <Bindings /> },
  { id: "proposals", title: "Proposals", shown: <Proposals /> },
];

export function Provisioning() {
  return (
    <Page title="Provisioning" lead="Pushed, bound, and seen on the wire; or put back as it was.">
      <Sections of={SECTIONS} />
    </Page>
  );
}
