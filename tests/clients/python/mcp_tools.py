"""What a program of the Model Context Protocol sees of a node, as JSON on standard output.

usage: mcp_tools.py URL MODE TOOL ARGUMENTS [TOOL ARGUMENTS]...

MODE is `auto` (the newest version) or `legacy` (with a handshake). The token comes by MICRO_NODE_TOKEN.
"""

import asyncio
import json
import os
import sys

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client


async def tools_of(client):
    tools, cursor = [], None
    while True:
        page = await client.list_tools(cursor=cursor)
        tools += page.tools
        cursor = page.next_cursor
        if cursor is None:
            return tools


async def main(url, mode, *calls):
    token = os.environ.get("MICRO_NODE_TOKEN")
    headers = {"authorization": f"Bearer {token}"} if token else {}
    async with httpx2.AsyncClient(headers=headers, timeout=30) as http:
        async with Client(streamable_http_client(url, http_client=http), mode=mode) as client:
            tools = [tool.model_dump(by_alias=True, exclude_none=True) for tool in await tools_of(client)]
            answers = []
            for name, arguments in zip(calls[::2], calls[1::2]):
                answer = await client.call_tool(name, json.loads(arguments))
                answers.append(answer.model_dump(by_alias=True, exclude_none=True))
            version = client.session.protocol_version
            print(json.dumps({"version": version, "tools": tools, "answers": answers}))


asyncio.run(main(*sys.argv[1:]))
