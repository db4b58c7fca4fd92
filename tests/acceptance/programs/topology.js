fetch('http://10.0.0.1:9999/topology')
  .then(r => r.json())
  .then(data => {
    renderNetworkGraph(data.nodes, data.connections);
  });
