"Chains in files: a chain as TOML, and text that lies beside the chain it was drawn from."

(eval-when-compile
  (require hyrule [ncut]))
(import  os
         pathlib [Path]
         numpy :as np
         tomlkit
         nanogpt-hy.errors [RequestError]
         nanogpt-hy.lab.data.encoding [codes]
         nanogpt-hy.lab.data.markov [Chain draw-lines]
         nanogpt-hy.lab.data.texts [Lines]
         nanogpt-hy.lab.files [atomic-file check-new read-toml remove write-atomic])

(setv MOST-FILE 20,000,000               ; bytes: the largest chain needs no more
      KEYS      ["chars" "start" "transitions" "line_length"])

(setv ABOUT
  ["A chain of characters: lines of line_length characters, each ended by a newline."
   "start: the weights of a line's first character; transitions: a row for each character,"
   "the weights of what follows it."])


;;; A chain

(defn chain-values [chain]
  "Chain -> dict: what chain-from makes it of again."
  {"chars" chain.chars  "line_length" chain.line-length
   "start" (list chain.start)  "transitions" (lfor  row chain.transitions  (list row))})

(defn chain-from [values source]
  "dict, which came from SOURCE and may hold anything -> Chain; RequestError if it is none."
  (setv lacking (lfor  key KEYS  :if (not-in key values)  key))
  (when lacking
    (raise (RequestError (+ f"{source} is no chain, it lacks {(.join ", " lacking)}: "
                            "make one with nanogpt-hy data ab --out FILE"))))
  (try
    (Chain #* (gfor  key KEYS  (get values key)))
    (except [e RequestError]
      (raise (RequestError f"{source}: {e}") :from None))))

(defn chain-document [chain]
  "Chain -> TOML document: what read-chain reads, and what the names in it mean."
  (setv rows     (tomlkit.array)
        document (tomlkit.document))
  (for [row chain.transitions]
    (.add-line rows (list row) :indent "  "))
  (.add-line rows :indent "")
  (for [line ABOUT]
    (.add document (tomlkit.comment line)))
  (.update document {#** (chain-values chain)  "transitions" rows})
  document)

(defn write-chain [chain path]
  "Chain, file name -> None: the chain as a TOML file."
  (write-atomic path (tomlkit.dumps (chain-document chain))))

(defn read-chain [path]
  "file name -> Chain: the chain in a TOML file."
  (chain-from (read-toml path :most MOST-FILE) path))


;;; A text and its chain

(defn write-data [path chain count * seed [overwrite False]]
  "file name, Chain, int -> (text file, chain file): lines, and beside them their chain."
  (setv path     (Path path)
        beside   (check-target path overwrite)
        text     (draw-lines chain count :seed seed)
        document (chain-document chain))
  (.add document (tomlkit.nl))
  (.add document "drawn" {"lines" (int count)  "seed" (int seed)})
  ;; A text beside a chain that is not its own would get a wrong floor, so the old chain goes
  ;; before the text is in its place, and the new one comes last.
  (with [file (atomic-file path)]
    (.write file (.encode text "utf-8"))
    (.flush file)                      ; if the disk is full, that is known here
    (remove beside))
  (write-atomic beside (tomlkit.dumps document))
  #(path beside))

(defn check-target [path overwrite]
  "Path -> Path: the chain's file beside that of the text; RequestError where data cannot go."
  (check-new path :overwrite overwrite)
  (when (= (.lower path.suffix) ".toml")
    (raise (RequestError (+ f"{path} ends in .toml, the name of the chain beside the text: "
                            "use a name that ends in .txt"))))
  (setv beside (.with-suffix path ".toml"))
  (check-new beside :overwrite overwrite)
  beside)

(defn chain-beside [text-path texts]
  "file name, texts -> Chain or None: the chain beside a text, if that, of which TEXTS are the
  parts, can come from it."
  (try
    (setv path  (.with-suffix (Path text-path) ".toml")
          chain (when (os.path.isfile path) (read-chain path)))
    (except [[RequestError ValueError]]            ; a name without a stem has no suffix either
      (return None)))
  (when (and chain (all (gfor  lines (whole-lines texts (+ chain.line-length 1))
                               (fits chain lines))))
    chain))

(defn whole-lines [texts width]
  "texts -> texts, at least one: the same, cut at multiples of WIDTH characters."
  (setv rest  ""
        empty True)
  (for [text texts]
    (setv rest (+ rest text)
          end  (- (len rest) (% (len rest) width)))
    (when end
      (setv empty False)
      (yield (cut rest end)))
    (setv rest (cut rest end None)))
  (when (or rest empty)
    (yield rest)))

(defn line-length [text * [at-least 10]]
  "str -> int or None: the length all lines share, if the text is AT-LEAST so many such lines.
  The newline that ends a line is not counted; lines without any character are no lines."
  (setv lines (Lines))
  (.add lines text)
  (.length lines :at-least at-least))

(defn fits [chain text]
  "Chain str -> bool: could these lines, whole lines only, have come from the chain?"
  (and (= (line-length text :at-least 1) chain.line-length)
       (possible chain (places chain text))))

(defn places [chain text]
  "str of N lines -> (N L): the place of each character among the chain's, V for any other."
  (setv known (codes chain.chars)
        order (np.argsort known)
        asked (ncut (.reshape (codes text) -1 (+ chain.line-length 1)) : :-1)
        place (get order (np.minimum (np.searchsorted known asked :sorter order)
                                     (- (len known) 1))))
  (np.where (= (get known place) asked) place (len known)))

(defn possible [chain places]
  "(N L) places of characters -> bool: known characters, possible starts, possible steps."
  ;; One more character, which never comes, stands for every unknown one.
  (setv start (np.append (> (np.array chain.start) 0) False)                  ; (V+1)
        steps (np.pad (> (np.array chain.transitions) 0) #(#(0 1) #(0 1))))   ; (V+1 V+1)
  (bool (and (.all (get start (ncut places : 0)))
             (.all (get steps #((ncut places : :-1) (ncut places : 1:)))))))

(defn text-loss [chain text]
  "Chain, str of whole lines that it can draw -> float: nats per token that the chain itself loses
  on them, knowing each line's beginning. That is near the floor, above it or below."
  (setv found (places chain text)                                             ; (N L)
        [lines length] found.shape
        first-ones (get (np.array chain.start) (ncut found : 0))              ; (N)
        steps (get (np.array chain.transitions)
                   #((ncut found : :-1) (ncut found : 1:))))                  ; (N L-1)
  (/ (- (+ (.sum (np.log first-ones)) (.sum (np.log steps))))
     (* lines (+ length 1))))
