// SPDX-License-Identifier: Apache-2.0

// Command etcd serves etcd for a cluster of one control plane, which nobody keeps:
// nothing is written through to the disk.
package main

import (
	"flag"
	"log"
	"net/url"

	"go.etcd.io/etcd/server/v3/embed"
)

func main() {
	dir := flag.String("data-dir", "", "`directory` of the data")
	client := flag.String("listen-client-url", "http://127.0.0.1:2379", "`URL` for clients")
	peer := flag.String("listen-peer-url", "http://127.0.0.1:2380", "`URL` for peers, of which there are none")
	flag.Parse()
	c := embed.NewConfig()
	c.Dir = *dir
	c.ListenClientUrls, c.AdvertiseClientUrls = urls(*client), urls(*client)
	c.ListenPeerUrls, c.AdvertisePeerUrls = urls(*peer), urls(*peer)
	c.InitialCluster = c.InitialClusterFromName(c.Name)
	c.UnsafeNoFsync = true
	c.LogLevel = "warn"
	e, err := embed.StartEtcd(c)
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(<-e.Err())
}

func urls(text string) []url.URL {
	u, err := url.Parse(text)
	if err != nil {
		log.Fatal(err)
	}
	return []url.URL{*u}
}
