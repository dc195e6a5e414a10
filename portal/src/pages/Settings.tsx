import { Page } from "../parts/Page";
import { Sections } from "../parts/Sections";
import { Authorities } from "./renewal/Authorities";
import { ApprovalRules } from "./settings/ApprovalRules";
import { Channels } from "./settings/Channels";
import { Groups } from "./settings/Groups";
import { Ownership } from "./settings/Ownership";
import { People } from "./settings/People";
import { Policies } from "./settings/Policies";
import { Rules } from "./settings/Rules";
import { SecretStores } from "./settings/SecretStores";
import { Subscriptions } from "./settings/Subscriptions";
import { Teams } from "./settings/Teams";

const SECTIONS = [
  { id: "people", title: "People and machines", shown: <People /> },
  { id: "teams", title: "Teams", shown: <Teams /> },
  { id: "ownership", title: "Who owns what", shown: <Ownership /> },
  { id: "groups", title: "Groups", shown: <Groups /> },
  { id: "policies", title: "Policies", shown: <Policies /> },
  { id: "approvals", title: "Who must agree", shown: <ApprovalRules /> },
  { id: "authorities", title: "Authorities", shown: <Authorities /> },
  { id: "secret-stores", title: "Secret stores", shown: <SecretStores /> },
  { id: "channels", title: "Channels", shown: <Channels /> },
  { id: "rules", title: "Who is told", shown: <Rules /> },
  { id: "subscriptions", title: "Machines that listen", shown: <Subscriptions /> },
];

export function Settings() {
  return (
    <Page title="Settings" lead="Who may do what, who must agree, who issues, and who is told what.">
      <Sections of={SECTIONS} />
    </Page>
  );
}
