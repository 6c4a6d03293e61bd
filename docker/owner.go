package docker

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
)

// owner is a user and a group of a container, by number.
type owner struct{ uid, gid int }

// maxAccounts bounds what is read of a container's users and groups, in bytes.
const maxAccounts = 1 << 20

// ownerIn is the container's user, nil if that is root, found as the runtime finds it: a user that is not in
// /etc/passwd has group 0 unless it is given another.
func ownerIn(ctx context.Context, c *client.Client, in container.InspectResponse) (*owner, error) {
	if in.Config == nil {
		return nil, nil
	}
	user, group, _ := strings.Cut(in.Config.User, ":")
	if user == "" || user == "0" || user == "root" {
		return nil, nil
	}
	who, err := userIn(ctx, c, in.ID, user, group == "")
	if err != nil {
		return nil, fmt.Errorf("finding user %q of the container: %w", user, err)
	}
	if group == "" {
		return who, nil
	}
	if who.gid, err = groupIn(ctx, c, in.ID, group); err != nil {
		return nil, fmt.Errorf("finding group %q of the container: %w", group, err)
	}
	return who, nil
}

// userIn finds a user by name or number. A number need not be looked up if its group does not matter.
func userIn(ctx context.Context, c *client.Client, id, user string, group bool) (*owner, error) {
	uid, notNumber := strconv.Atoi(user)
	if notNumber == nil && !group {
		return &owner{uid: uid}, nil
	}
	passwd, err := accounts(ctx, c, id, "/etc/passwd")
	if err != nil {
		return nil, err
	}
	if fields := findAccount(passwd, user); len(fields) > 3 {
		uid, uerr := strconv.Atoi(fields[2])
		gid, gerr := strconv.Atoi(fields[3])
		return &owner{uid, gid}, cmp.Or(uerr, gerr)
	}
	if notNumber != nil {
		return nil, fmt.Errorf("no user %s in /etc/passwd", user)
	}
	return &owner{uid: uid}, nil
}

func groupIn(ctx context.Context, c *client.Client, id, group string) (int, error) {
	if gid, err := strconv.Atoi(group); err == nil {
		return gid, nil
	}
	file, err := accounts(ctx, c, id, "/etc/group")
	if err != nil {
		return 0, err
	}
	if fields := findAccount(file, group); fields != nil {
		return strconv.Atoi(fields[2])
	}
	return 0, fmt.Errorf("no group %s in /etc/group", group)
}

// accounts reads a file of users or groups. One that is not there, or is no file, has none.
func accounts(ctx context.Context, c *client.Client, id, name string) ([]byte, error) {
	text, err := readFile(ctx, c, id, name, maxAccounts)
	if cerrdefs.IsNotFound(err) || errors.Is(err, ErrInvalid) {
		return nil, nil
	}
	return text, err
}

// findAccount is the line, in fields, of a user or group, by name or number, in the format of passwd(5) and
// group(5); nil if there is none.
func findAccount(file []byte, account string) []string {
	for line := range bytes.Lines(file) {
		fields := strings.Split(strings.TrimSpace(string(line)), ":")
		if len(fields) > 2 && (fields[0] == account || fields[2] == account) {
			return fields
		}
	}
	return nil
}
