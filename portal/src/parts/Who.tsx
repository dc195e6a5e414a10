import { useQuery } from "@tanstack/react-query";
import { Fragment } from "react";
import { data, inventory } from "../api";
import { person } from "../session";

const ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Who, by name. What the platform does by itself is recorded in words: `renewal`, `campaign …`. */
export function Who({ id }: { id: string }) {
  const asked = useQuery({
    queryKey: ["who", id],
    queryFn: () => nameOf(id),
    enabled: ID.test(id),
    staleTime: Number.POSITIVE_INFINITY,
    refetchInterval: false,
  });
  return <span title={id}>{asked.data ?? id}</span>;
}

export function Everybody({ ids }: { ids: string[] }) {
  return ids.map((id, at) => (
    <Fragment key={id}>
      {at ? ", " : ""}
      <Who id={id} />
    </Fragment>
  ));
}

/** Return somebody's name; the id, where it is not for whoever looks: only administrators may list people. */
async function nameOf(id: string): Promise<string> {
  const me = await person();
  if (me?.id === id) {
    return me.name;
  }
  if (!me?.roles.includes("admin")) {
    return id;
  }
  const path = { principal_id: id };
  return (await data(inventory.GET("/v1/principals/{principal_id}", { params: { path } }))).name;
}
