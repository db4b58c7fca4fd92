// What the browser gives the programs that run in it.
const document = {
  getElementById: () => ({
    set innerHTML(html) {
      console.log(html);
    },
  }),
};

function renderNetworkGraph(nodes, connections) {
  console.log(JSON.stringify({ nodes, connections }));
}
