"""Who takes part, and how each is set up."""

import dataclasses
import os
import pathlib

from processes import Server, free_ports

SMALL, MEDIUM, LARGE = 128, 16 * 1024, 1024**3
IDLE = 600  # seconds a connection may wait


@dataclasses.dataclass
class Contender:
    key: str
    title: str
    server: Server
    h1: int
    h2: int
    user: str = "anna"
    paths: str = "/owa"
    upload: str = "/owa/upload"
    uploader: str = "bert"

    def url(self, path, port=None):
        return f"http://127.0.0.1:{port or self.h1}{self.paths}{path}"


class Setup:
    """Writes the configurations below `folder`, and starts servers."""

    def __init__(self, folder, programs, proxy_cores, load_cores, threads=1):
        self.folder, self.programs, self.threads = folder, programs, threads
        self.proxy_cores, self.load_cores = proxy_cores, load_cores
        for where in (folder / "www/owa", folder / "www/owa/mail"):
            where.mkdir(parents=True, exist_ok=True)
            (where / "small").write_bytes(b"x" * SMALL)
            (where / "medium").write_bytes(b"x" * MEDIUM)
            with open(where / "large", "wb") as file:
                file.truncate(LARGE)  # A hole: costs no disk.
        users = [("anna", "dallas"), ("bert", "reno"), ("carl", "dallas")]
        users += [(f"user{number}", "dallas") for number in range(1000)]
        (folder / "users.nginx").write_text("".join(f"{user} {site};\n" for user, site in users))
        (folder / "users.haproxy").write_text("".join(f"{user} {site}\n" for user, site in users))
        self.upstream = self.dallas = self.lookup = self.reno = None

    def upstreams(self):
        self.dallas, self.lookup = free_ports(2)
        self.upstream = self.nginx("upstream", self.upstream_servers(), [self.dallas, self.lookup], self.load_cores)
        self.reno_server = self.program("mailbox", "reno", self.load_cores)
        self.reno = self.reno_server.ports[0]

    def upstream_servers(self):
        return f"""
  map $http_x_user $site {{ default dallas; include users.nginx; }}
  server {{ listen 127.0.0.1:{self.dallas} backlog=4096; root www; }}
  server {{
    listen 127.0.0.1:{self.lookup} backlog=4096;
    location / {{ add_header X-Site $site; return 204; }}
  }}"""

    def proxies(self):
        """Those that are compared, the reference first."""
        yield self.nginx_proxy("nginx", "nginx, map")
        yield self.nginx_proxy("nginx_auth_request", "nginx, auth_request", asks=True)
        yield self.haproxy()
        yield self.axum_reverse_proxy()
        yield self.first_cas("cas_proxy", "cas-proxy", "lab")
        yield self.first_cas("cas_proxy_signed", "cas-proxy, signed", "shared-key")
        yield self.first_cas("cas_proxy_jemalloc", "cas-proxy, jemalloc", "lab", allocator="libjemalloc.so.2")

    def with_buffers(self):
        """nginx with 16 times the buffers that it has by default, for what is large."""
        buffers = "proxy_buffer_size 16k; proxy_buffers 8 64k; proxy_busy_buffers_size 128k;"
        return self.nginx_proxy("nginx_buffers", "nginx, 64 KiB buffers", buffers=buffers)

    def locals(self):
        """Without a hop: the server alone, and the same server behind the layer."""
        server = self.program("mailbox", "local", self.proxy_cores)
        yield Contender("local", "axum, no hop", server, server.ports[0], server.ports[0])
        yield self.first_cas("cas_proxy_local", "cas-proxy, mailbox here", "lab", user="carl", uploader="carl")

    def program(self, program, name, cores, *arguments, allocator=None):
        (port,) = free_ports(1)
        command = ["env", f"LD_PRELOAD={allocator}"] if allocator else []
        command += [self.programs / program, "--listen", f"127.0.0.1:{port}", "--threads", self.threads]
        return Server(name, [*command, *arguments], [port], cores, self.folder)

    def first_cas(self, key, title, credentials, allocator=None, **users):
        arguments = [*self.sites(), "--credentials", credentials]
        server = self.program("first_cas", key, self.proxy_cores, *arguments, allocator=allocator)
        return Contender(key, title, server, server.ports[0], server.ports[0], **users)

    def axum_reverse_proxy(self):
        key = "axum_reverse_proxy"
        server = self.program(key, key, self.proxy_cores, *self.sites())
        return Contender(key, "axum-reverse-proxy", server, server.ports[0], server.ports[0], paths="/owa/mail")

    def sites(self):
        return ["--dallas", f"127.0.0.1:{self.dallas}", "--reno", f"127.0.0.1:{self.reno}"]

    def nginx_proxy(self, key, title, asks=False, buffers=""):
        h1, h2 = free_ports(2)
        ask = "auth_request /lookup; auth_request_set $site $upstream_http_x_site;" if asks else ""
        table = "" if asks else "map $http_x_user $site { default dallas; include users.nginx; }"
        servers = f"""
  {table}
  upstream dallas {{ server 127.0.0.1:{self.dallas}; keepalive 64; keepalive_requests 1000000000; }}
  upstream reno {{ server 127.0.0.1:{self.reno}; keepalive 64; keepalive_requests 1000000000; }}
  upstream lookup {{ server 127.0.0.1:{self.lookup}; keepalive 64; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{h1} backlog=4096;
    listen 127.0.0.1:{h2} backlog=4096 http2;
    proxy_http_version 1.1;
    {buffers}
    location / {{
      {ask}
      proxy_set_header Host $proxy_host;
      proxy_set_header Connection "";
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_pass http://$site;
    }}
    location = /lookup {{
      internal;
      proxy_pass_request_body off;
      proxy_set_header Content-Length "";
      proxy_set_header Connection "";
      proxy_pass http://lookup;
    }}
  }}"""
        return Contender(key, title, self.nginx(key, servers, [h1, h2], self.proxy_cores), h1, h2)

    def nginx(self, key, servers, ports, cores):
        prefix = self.folder
        temporary = "".join(
            f"  {kind}_temp_path {prefix}/nginx-{key}-{kind};\n"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        user = "user root;" if os.geteuid() == 0 else ""  # The files are root's then, too.
        path = prefix / f"{key}.nginx.conf"
        path.write_text(f"""{user}
daemon off;
worker_processes {self.threads};
pid {prefix}/{key}.pid;
events {{ worker_connections 12000; }}
http {{
{temporary}
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_timeout {IDLE};
  keepalive_requests 1000000000;
  map_hash_max_size 8192;
  client_max_body_size 0;
  client_body_buffer_size 64k;
  proxy_request_buffering off;
  proxy_max_temp_file_size 0;
{servers}
}}
""")
        command = ["nginx", "-p", f"{prefix}/", "-c", path, "-e", "stderr"]
        return Server(key, command, ports, cores, self.folder)

    def haproxy(self):
        h1, h2 = free_ports(2)
        path = self.folder / "haproxy.conf"
        path.write_text(f"""
global
  nbthread 1
  maxconn 12000
  no strict-limits
defaults
  mode http
  timeout connect 5s
  timeout client {IDLE}s
  timeout server 60s
  timeout http-keep-alive {IDLE}s
  http-reuse always
frontend clients
  bind 127.0.0.1:{h1} backlog 4096
  bind 127.0.0.1:{h2} backlog 4096 proto h2
  option forwardfor
  use_backend %[req.hdr(x-user),map({self.folder}/users.haproxy,dallas)]
backend dallas
  server dallas 127.0.0.1:{self.dallas}
backend reno
  server reno 127.0.0.1:{self.reno}
""")
        server = Server("haproxy", ["haproxy", "-db", "-f", path], [h1, h2], self.proxy_cores, self.folder)
        return Contender("haproxy", "HAProxy, map", server, h1, h2)


def scripts(folder):
    """wrk's own language is Lua."""
    path = pathlib.Path(folder) / "post.lua"
    path.write_text('wrk.method = "POST"\nwrk.body = string.rep("x", 65536)\n')
    return path
