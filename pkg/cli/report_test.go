// SPDX-License-Identifier: Apache-2.0

package cli_test

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// report writes the page of a node with a pod, one that is gone, and an address that nobody
// has, and returns its file.
func (m machine) report() string {
	m.Helper()
	m.pod(1)
	m.lose(2, m.pod(2))
	m.write(filepath.Join(m.cache, "results", "podnet-"+sandbox(1)+"-eth0"), []byte(fmt.Sprintf(
		`{"kind": "cniCacheV1", "containerId": %q, "ifName": "eth0", "config": "c2VjcmV0", "cniArgs": [["K8S_POD_NAMESPACE", "default"], ["K8S_POD_NAME", "<script>web"], ["TOKEN", "hunter2"]]}`, sandbox(1))))
	m.write(filepath.Join(m.data, "podnet", "10.1.0.77"), []byte(sandbox(9)+"\r\neth0"))
	m.age(2 * time.Hour)
	file := filepath.Join(m.TempDir(), "node.html")
	m.wants(0, "report --file "+file, file)
	return file
}

// All of a node is on its page, nothing of the conflist's text, and no name of a pod becomes
// markup.
func TestReport(t *testing.T) {
	m := start(t)
	file := m.report()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	for _, want := range []string{
		"default/&lt;script&gt;web", "default/web-2", "10.1.0.10", "8081-&gt;80/tcp", "Windows Firewall", "bulkhead-pod-in-tcp",
		"endpoint.stale", "bulkhead gc --yes", "10.1.0.77", "no endpoint has it", "l2bridge", `class="pod running"`, `class="pod detached"`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("lacks %q", want)
		}
	}
	for _, secret := range []string{"<script>", "hunter2", "c2VjcmV0", "cniVersion", "http://", "https://"} {
		if strings.Contains(page, secret) {
			t.Errorf("has %q", secret)
		}
	}
	// Each element is closed: as XML it has no error but the entities of HTML.
	d := xml.NewDecoder(strings.NewReader(strings.TrimPrefix(page, "<!DOCTYPE html>\n")))
	d.Entity = xml.HTMLEntity
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	m.wants(1, "report --file "+filepath.Join(file, "x"), "not a directory")
}
