"What strangers' files say, taken with suspicion: JSON and characters."

(eval-when-compile
  (require hyrule [unless]))
(import  json
         math [isfinite]
         nanogpt-hy.errors [RequestError]
         nanogpt-hy.lab.files [short])

(setv MOST-DEPTH 50                     ; objects in objects
      WAY-OUT    "use another copy of it, or make it again")

(defn refuse [path fact [way-out WAY-OUT]]
  "file name, str -> never: raises the RequestError about the file."
  (raise (RequestError f"{path} {fact}: {way-out}")))

;;; JSON

(defn no-twins [pairs]
  "[(key value)] -> dict: the same pairs; ValueError where a key comes twice."
  (setv out (dict pairs))
  (when (< (len out) (len pairs))
    (raise (ValueError "a key comes twice")))
  out)

(defn finite-number [text]
  "str -> float: the number it says; ValueError for NaN and what is too large for a float."
  (setv number (float text))
  (unless (isfinite number)
    (raise (ValueError f"{text} is not a finite number")))
  number)

(defn check-depth [value]
  "value from JSON -> None: ValueError if it is nested deeper than any metadata of ours."
  (setv level [value]
        depth 0)
  (while level
    (setv depth (+ depth 1))
    (when (> depth MOST-DEPTH)
      (raise (ValueError "nested too deeply")))
    (setv level (lfor  v level
                      :if (isinstance v #(dict list))
                      inner (if (isinstance v dict) (.values v) v)
                      inner))))

(defn parse-object [path data what [way-out WAY-OUT]]
  "Path, bytes or str -> dict: what the JSON says; no key twice, no NaN, no bottomless nesting."
  (try
    (setv value (json.loads (if (isinstance data str) data (.decode data "utf-8"))
                            :object-pairs-hook no-twins
                            :parse-float       finite-number
                            :parse-constant    finite-number))
    (check-depth value)
    (except [e [ValueError RecursionError]]     ; the decoders' errors are ValueErrors too
      (setv why (if (isinstance e RecursionError) "nested too deeply" (short (str e))))
      (refuse path f"has {what} that cannot be read ({why})" way-out)))
  (unless (isinstance value dict)
    (refuse path f"has {what} that is no JSON object" way-out))
  value)

;;; Characters

(defn character [c]
  "anything -> bool: one character that utf-8 can write; half of a surrogate pair is none."
  (and (isinstance c str) (= (len c) 1) (not (<= "\ud800" c "\udfff"))))

(defn chars-problem [chars]
  "anything -> str or None: why CHARS are no tokenizer's characters: single, in order, each once."
  (cond
    (not (and (isinstance chars #(str list)) chars (all (map character chars))))
    "are no characters"
    (!= (list chars) (sorted (set chars)))
    "are not in order, each one once"))
