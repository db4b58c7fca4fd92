fetch('http://10.0.0.1:9999/nodes')
  .then(r => r.json())
  .then(data => {
    const html = Object.values(data.nodes).map(node => `
      <div class="node ${node.status}">
        <h3>${node.name}</h3>
        <p>Role: ${node.role}</p>
        <p>Status: ${node.status}</p>
        <p>IP: ${node.vpn_ip}</p>
        ${node.capabilities.gpu ? `<p>GPU: ${node.capabilities.gpu_type}</p>` : ''}
      </div>
    `).join('');

    document.getElementById('nodes').innerHTML = html;
  });
