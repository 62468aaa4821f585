// SPDX-License-Identifier: Apache-2.0

package cli_test

import (
	"encoding/json"
	"html"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// measure writes into a page's title what a reader sees of it.
const measure = `<script>
const box = e => e.getBoundingClientRect();
const shown = e => { const r = box(e); return r.width > 0 && r.height > 0 && e.checkVisibility() };
const within = (a, b) => a.left >= b.left && a.right <= b.right && a.top >= b.top && a.bottom <= b.bottom;
const over = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
const all = what => [...document.querySelectorAll(what)];
const pods = all('.pod'), closed = all('details');
const seen = {
  Beyond: document.documentElement.scrollWidth - innerWidth,
  Outside: pods.filter(p => !within(box(p), box(p.closest('.network')))).length + all('.network').filter(n => !within(box(n), box(n.closest('.node')))).length,
  Over: pods.filter((p, i) => pods.slice(i + 1).some(q => over(box(p), box(q)))).length,
  Pods: pods.filter(shown).map(p => p.innerText),
  Colors: all('.pod').map(p => getComputedStyle(p).borderColor),
  Hidden: all('details td').filter(shown).length,
};
closed.forEach(d => d.open = true);
seen.Opened = all('details td').filter(shown).length;
seen.BeyondOpened = document.documentElement.scrollWidth - innerWidth;
document.title = JSON.stringify(seen);
</script>`

// A browser draws the page: each pod in the box of its network, none over another, one that
// is gone in another color, nothing beyond the right edge, and the rules when a reader opens
// them. Nothing else is loaded, and no line is written to the console.
func TestReportInBrowser(t *testing.T) {
	browser, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is not installed: scripts/test.sh does it")
	}
	m := start(t)
	page := m.report()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	measured := filepath.Join(t.TempDir(), "measured.html")
	m.write(measured, []byte(strings.Replace(string(text), "</body>", measure+"</body>", 1)))
	open := func(args ...string) string {
		cmd := exec.Command(browser, append([]string{
			"--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1280,900", "--user-data-dir=" + t.TempDir(),
			"--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr", "--log-level=0",
		}, args...)...)
		var said strings.Builder
		cmd.Stderr = &said
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%v: %s", err, said.String())
		}
		if strings.Contains(said.String(), "CONSOLE") {
			t.Errorf("the console has: %s", said.String())
		}
		return string(out)
	}
	_, title, _ := strings.Cut(open("--dump-dom", "file://"+measured), "<title>")
	title, _, _ = strings.Cut(title, "</title>")
	var got struct {
		Beyond, BeyondOpened, Outside, Over, Hidden, Opened int
		Pods, Colors                                        []string
	}
	if err := json.Unmarshal([]byte(html.UnescapeString(title)), &got); err != nil {
		t.Fatalf("%v: %s", err, title)
	}
	if got.Beyond > 0 || got.BeyondOpened > 0 || got.Outside > 0 || got.Over > 0 {
		t.Errorf("drawn outside of its place: %+v", got)
	}
	if len(got.Pods) != 2 || !strings.Contains(got.Pods[0], "default/<script>web\n10.1.0.10") || got.Colors[0] == got.Colors[1] {
		t.Errorf("pods are %+v", got)
	}
	if got.Hidden != 0 || got.Opened == 0 {
		t.Errorf("%d rules are seen before they are opened, and %d after", got.Hidden, got.Opened)
	}
	picture := filepath.Join(t.TempDir(), "node.png")
	open("--screenshot="+picture, "file://"+page)
	if n := colors(t, picture); n < 20 {
		t.Errorf("the picture has %d colors", n)
	}
}

// colors counts the colors of a picture.
func colors(t *testing.T, file string) int {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	picture, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	found := map[color.Color]bool{}
	for y := range picture.Bounds().Dy() {
		for x := range picture.Bounds().Dx() {
			found[picture.At(x, y)] = true
		}
	}
	return len(found)
}
