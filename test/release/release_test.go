// SPDX-License-Identifier: Apache-2.0

// Package release_test runs scripts/release.sh and reads what it made.
package release_test

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	root    = "../.."
	version = "v0.0.0-test"
)

// TestRelease makes a release that is signed with a certificate of its own. That two
// builds are equal is the script's own check.
func TestRelease(t *testing.T) {
	if os.Getenv("BULKHEAD_TEST_RELEASE") == "" {
		t.Skip("SKIPPED: it builds four times, twice with an empty cache; BULKHEAD_TEST_RELEASE=1 runs it")
	}
	if _, err := os.Stat(filepath.Join(root, ".git")); err != nil {
		t.Skip("SKIPPED: not a clone, and a release has its time and files from git")
	}
	p12, pem := certificate(t)
	cmd := exec.Command("scripts/release.sh", "--sign", p12, version)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "BULKHEAD_SIGN_PASSWORD=secret")
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	out := filepath.Join(root, ".build", "release", version)
	t.Cleanup(func() { _ = os.RemoveAll(out) })

	sums, want := read(t, filepath.Join(out, "SHA256SUMS")), ""
	for _, suffix := range []string{"amd64.zip", "arm64.zip", "amd64.cdx.json", "arm64.cdx.json"} {
		name := "bulkhead-" + version + "-windows-" + suffix
		want = fmt.Sprintf("%x  %s\n", sha256.Sum256(read(t, filepath.Join(out, name))), name)
		if !bytes.Contains(sums, []byte(want)) {
			t.Errorf("SHA256SUMS lacks %q", want)
		}
	}
	if n := bytes.Count(sums, []byte("\n")); n != 4 {
		t.Errorf("SHA256SUMS has %d lines, want 4", n)
	}
	for arch, machine := range map[string]uint16{"amd64": 0x8664, "arm64": 0xaa64} {
		t.Run(arch, func(t *testing.T) {
			base := filepath.Join(out, "bulkhead-"+version+"-windows-"+arch)
			files := unzip(t, base+".zip")
			checkFiles(t, files)
			checkExecutable(t, files["bulkhead.exe"], machine, pem)
			checkNotices(t, string(files["NOTICES"]))
			checkLinks(t, files)
			checkSBOM(t, read(t, base+".cdx.json"), arch)
		})
	}
}

// certificate makes a key with a certificate that signs itself, and returns both as a
// PKCS #12 file with the password "secret", and the certificate.
func certificate(t *testing.T) (p12, pem string) {
	t.Helper()
	dir := t.TempDir()
	key := filepath.Join(dir, "key.pem")
	p12, pem = filepath.Join(dir, "cert.p12"), filepath.Join(dir, "cert.pem")
	for _, args := range [][]string{
		{"req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", pem, "-days", "2", "-subj", "/CN=Bulkhead test", "-addext", "extendedKeyUsage=codeSigning"},
		{"pkcs12", "-export", "-inkey", key, "-in", pem, "-out", p12, "-passout", "pass:secret"},
	} {
		if said, err := exec.Command("openssl", args...).CombinedOutput(); err != nil {
			t.Fatalf("openssl %s: %v\n%s", args[0], err, said)
		}
	}
	return p12, pem
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// unzip returns the files below the archive's one folder, which has its name. Their order,
// times and modes are not the machine's.
func unzip(t *testing.T, name string) map[string][]byte {
	t.Helper()
	r, err := zip.OpenReader(name)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	folder := strings.TrimSuffix(filepath.Base(name), ".zip") + "/"
	files := map[string][]byte{}
	var order []string
	for _, f := range r.File {
		rel, inside := strings.CutPrefix(f.Name, folder)
		if !inside {
			t.Errorf("%s is outside of %s", f.Name, folder)
		}
		order = append(order, f.Name)
		want := os.FileMode(0o644)
		if rel == "bulkhead.exe" {
			want = 0o755
		}
		if f.Mode() != want || !f.Modified.Equal(r.File[0].Modified) || len(f.Extra) > 0 {
			t.Errorf("%s: mode %v, want %v; time %v, want %v; %d extra bytes", rel, f.Mode(), want, f.Modified, r.File[0].Modified, len(f.Extra))
		}
		in, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		if files[rel], err = io.ReadAll(in); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.IsSorted(order) {
		t.Errorf("not sorted: %v", order)
	}
	return files
}

// checkFiles wants everything that a node or a reader needs, and no path of this machine.
func checkFiles(t *testing.T, files map[string][]byte) {
	t.Helper()
	want := []string{"bulkhead.exe", "install.ps1", "daemonset.yaml", "LICENSE", "NOTICES", "README.md", "REFERENCE.md", "ACL.md", "KUBE-PROXY.md", "MIGRATION.md", "TROUBLESHOOTING.md", "SECURITY.md", "SUPPORT.md", "conf/README.md"}
	for _, pattern := range []string{"*.conflist", "*.template"} {
		confs, err := filepath.Glob(filepath.Join(root, "plugins/bulkhead/conf", pattern))
		if err != nil || len(confs) == 0 {
			t.Fatalf("no %s: %v", pattern, err)
		}
		for _, c := range confs {
			want = append(want, "conf/"+filepath.Base(c))
		}
	}
	for _, name := range want {
		if len(files[name]) == 0 {
			t.Errorf("the archive has no %s", name)
		}
	}
	if len(files) != len(want) {
		t.Errorf("the archive has %d files, want %d", len(files), len(want))
	}
	here, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	home, err := os.UserHomeDir()
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range files {
		for _, dir := range []string{here, home + "/", os.TempDir() + "/"} {
			if bytes.Contains(data, []byte(dir)) {
				t.Errorf("%s names %s", name, dir)
			}
		}
	}
}

// checkExecutable wants a program for that machine (the PE header's word) that tells its
// version and is signed.
func checkExecutable(t *testing.T, exe []byte, machine uint16, pem string) {
	t.Helper()
	if len(exe) < 0x1000 {
		t.Fatalf("bulkhead.exe has %d bytes", len(exe))
	}
	header := exe[bytes.Index(exe, []byte("PE\x00\x00")):]
	if got := uint16(header[4]) | uint16(header[5])<<8; got != machine {
		t.Errorf("bulkhead.exe is for machine %#x, want %#x", got, machine)
	}
	if !bytes.Contains(exe, []byte(version)) {
		t.Errorf("bulkhead.exe does not know its version %s", version)
	}
	file := filepath.Join(t.TempDir(), "bulkhead.exe")
	verify := func(exe []byte) (string, error) {
		if err := os.WriteFile(file, exe, 0o600); err != nil {
			t.Fatal(err)
		}
		said, err := exec.Command("osslsigncode", "verify", "-CAfile", pem, "-in", file).CombinedOutput()
		return string(said), err
	}
	if said, err := verify(exe); err != nil || !strings.Contains(said, "Signature verification: ok") {
		t.Errorf("osslsigncode verify: %v\n%s", err, said)
	}
	exe[len(exe)/2] ^= 1
	if said, err := verify(exe); err == nil {
		t.Errorf("a changed byte is not noticed:\n%s", said)
	}
}

// checkNotices wants a licence for each module of which the executable links packages.
func checkNotices(t *testing.T, notices string) {
	t.Helper()
	titles := regexp.MustCompile(`(?m)^==== (\S+?)@\S+, LICEN`).FindAllStringSubmatch(notices, -1)
	for _, p := range strings.Fields(string(read(t, filepath.Join(root, "test/house/testdata/linked.txt")))) {
		if !slices.ContainsFunc(titles, func(m []string) bool { return p == m[1] || strings.HasPrefix(p, m[1]+"/") }) {
			t.Errorf("NOTICES has no licence of %s", p)
		}
	}
	if !strings.Contains(notices, "\n==== Go go1.") || strings.Count(notices, "Copyright") < len(titles)/2 {
		t.Errorf("NOTICES has %d titles and few licences", len(titles))
	}
}

// checkLinks wants every link of the documents to lead to a file of the archive or to the web.
func checkLinks(t *testing.T, files map[string][]byte) {
	t.Helper()
	for name, text := range files {
		if !strings.HasSuffix(name, ".md") {
			continue
		}
		for _, m := range regexp.MustCompile(`\]\(([^)#]+)`).FindAllSubmatch(text, -1) {
			to := string(m[1])
			if !strings.HasPrefix(to, "https://") && files[path.Join(path.Dir(name), to)] == nil {
				t.Errorf("%s links to %s, which is not in the archive", name, to)
			}
		}
	}
}

// checkSBOM wants the version of the program and those of all modules of which it links
// packages.
func checkSBOM(t *testing.T, data []byte, arch string) {
	t.Helper()
	var bom struct {
		BOMFormat string
		Metadata  struct {
			Component struct{ Version, PURL string }
		}
		Components []struct{ Name, Version string }
	}
	if err := json.Unmarshal(data, &bom); err != nil {
		t.Fatal(err)
	}
	main := bom.Metadata.Component
	if bom.BOMFormat != "CycloneDX" || main.Version != version || !strings.Contains(main.PURL, "goarch="+arch+"&goos=windows") {
		t.Errorf("the SBOM is a %s of %+v", bom.BOMFormat, main)
	}
	for _, p := range append(strings.Fields(string(read(t, filepath.Join(root, "test/house/testdata/linked.txt")))), "std") {
		found := false
		for _, c := range bom.Components {
			found = found || c.Version != "" && (p == c.Name || strings.HasPrefix(p, c.Name+"/"))
		}
		if !found {
			t.Errorf("the SBOM has no module of %s", p)
		}
	}
}
