# Words for items in DynamoDB JSON. Values go in with their type ({"S":"x"}) and come out plain, or the other way round.

def _of($what): if . == null then "nothing" elif isobject then "\(keys_unsorted | join(", "))" else type end
  | error("expected \($what), found \(.)");

# Reading: from a typed value to a plain one.
def str: .S? // .N? // _of("a value of type S or N");
def num: if isobject and has("N") then .N | tonumber else _of("a value of type N") end;
def bool: if isobject and has("BOOL") then .BOOL else _of("a value of type BOOL") end;
def plain:
  if isobject | not then _of("a typed value")
  elif has("S") then .S elif has("N") then .N | tonumber elif has("BOOL") then .BOOL elif has("NULL") then null
  elif has("M") then .M | map_values(plain) elif has("L") then .L | map(plain)
  elif has("SS") then .SS elif has("NS") then .NS | map(tonumber) elif has("B") then .B elif has("BS") then .BS
  else _of("a typed value") end;

# Building: from a plain value to a typed one.
def _num: if isnumber then tostring elif isstring then . else _of("a number") end;
def _str: if isstring then . elif isnumber or isboolean then tostring else _of("a string") end;
def S($x): {S: ($x | _str)};
def N($x): {N: ($x | _num)};
def B($x): if $x | isstring then {B: $x} else $x | _of("a string in base64") end;
def BOOL($x): if $x | isboolean then {BOOL: $x} else $x | _of("true or false") end;
def NULL: {NULL: true};
def L($x): if $x | isarray then {L: $x} else $x | _of("an array") end;
def M($x): if $x | isobject then {M: $x} else $x | _of("an object") end;
def SS($x): if $x | isarray then {SS: ($x | map(_str) | unique)} else $x | _of("an array") end;
def NS($x): if $x | isarray then {NS: ($x | map(_num) | unique)} else $x | _of("an array") end;
def BS($x): if $x | isarray then {BS: ($x | unique)} else $x | _of("an array") end;
def typed:
  if . == null then {NULL: true} elif isboolean then {BOOL: .} elif isnumber then {N: tostring}
  elif isstring then {S: .} elif isarray then {L: map(typed)} else {M: map_values(typed)} end;

# Attributes by path: "address.street" goes into maps, ["a.b"] is for names with dots, numbers count in lists.
def _steps($path): if $path | isarray then $path elif $path | isstring then $path / "." else $path | _of("a path") end;
def attr($path): _steps($path) | [.[0], (.[1:][] | if isnumber then "L", . else "M", . end)];
def get($path): getpath(attr($path));
def has_attr($path): attr($path) as $at | try (getpath($at) != null) catch false;
def put($path; $value): attr($path) as $at | reduce range(1; $at | length) as $i (.;
    if ($at[$i] == "M") and (getpath($at[:$i]) == null) then setpath($at[:$i]; {M: {}}) else . end)
  | setpath($at; $value);
def drop(paths): reduce paths as $path (.;
  if ($path | isstring) and ($path | contains(".") | not) then del(.[$path])
  elif has_attr($path) then attr($path) as $at | delpaths([$at])
  else . end);
def move($from; $to):
  if has_attr($from) | not then .
  elif has_attr($to) then error("cannot move \($from | tojson): there is a \($to | tojson) already")
  else get($from) as $value | drop($from) | put($to; $value) end;
def rename($from; $to): move($from; $to);
