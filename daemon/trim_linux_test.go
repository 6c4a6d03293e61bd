package daemon

import (
	"slices"
	"testing"
)

const sampleSmaps = `00400000-00401000 r--p 00000000 fe:00 10510500                           /opt/skiff
Size:                  4 kB
Anonymous:             0 kB
VmFlags: rd mr mw me
00401000-00403000 r-xp 00001000 fe:00 10510500                           /opt/skiff
Anonymous:             0 kB
00403000-00404000 r--p 00003000 fe:00 10510500                           /opt/skiff
Anonymous:             8 kB
00404000-00405000 rw-p 00004000 fe:00 10510500                           /opt/skiff
Anonymous:             0 kB
00405000-00406000 r--p 00000000 fe:00 10510501                           /lib/other
Anonymous:             0 kB
c000000000-c000400000 rw-p 00000000 00:00 0
Anonymous:             0 kB
`

func TestCleanMappingsAreThoseThatTheFileCanGiveAgain(t *testing.T) {
	got := cleanMappings([]byte(sampleSmaps), "/opt/skiff")
	want := []mapping{{0x400000, 0x1000}, {0x401000, 0x2000}}
	if !slices.Equal(got, want) {
		t.Errorf("mappings %x, want %x: neither written nor changed ones, nor another file's", got, want)
	}
}
