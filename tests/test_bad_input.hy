"Whatever is wrong with a request: one line that names the fact, the limit and the way out."

(import  errno
         math [inf nan]
         os
         pathlib [Path]
         re
         subprocess
         sys
         hypothesis [example given HealthCheck settings strategies :as st]
         pytest
         safetensors.torch
         torch
         asking [asker line-of make-home quick refused settle]
         checkpoints [tampered]
         nanogpt-hy.config [FIELDS finite of-kind option-name PRESETS shown whole]
         nanogpt-hy.errors [RequestError WorkError]
         nanogpt-hy.lab.checkpoints.checkpoint [load-checkpoint save-checkpoint]
         nanogpt-hy.lab.checkpoints.trained [open-model]
         nanogpt-hy.lab.commands :as commands
         nanogpt-hy.lab.files [held]
         nanogpt-hy.lab.training.device [choose-device]
         nanogpt-hy.lab.training.session :as session)

(setv BEST "runs/ab/best.safetensors"
      LAST "runs/ab/last.safetensors")

(defn [(pytest.fixture :scope "module")] home [tmp-path-factory]
  (make-home (.mktemp tmp-path-factory "home")))

(defn [pytest.fixture] ask [home tmp-path monkeypatch capsys]
  "Commands, run in a fresh copy of a folder with ab.txt and runs/ab."
  (settle home tmp-path monkeypatch)
  (asker capsys))

(defn train [ask #* arguments]
  "`train ab.txt` into the new folder runs/new."
  (ask "train" "ab.txt" "--out" "runs/new" #* arguments))

(defn well [said]
  "Assert that the command did its work."
  (assert (= said.code 0) said))

(defn advice [said pattern]
  "The words of the line SAID that match PATTERN, as the arguments that it advises; [] if none do."
  (setv found (re.search pattern said))
  (if found (.split (get found 0)) []))


;;; Texts

(setv BAD-TEXTS
  {"missing"      #(None                         ["there is no file bad.txt" "check the name"])
   "binary"       #(b"ab\x00\n"                  ["bad.txt is binary" "byte 2 is 0" "UTF-8"])
   "picture"      #(b"\x89PNG\r\n\x1a\n\x00\x00" ["bad.txt is binary" "UTF-8"])
   "no-utf-8"     #(b"abc\xff\n"                 ["bad.txt is not UTF-8" "byte 3 is 0xff" "iconv"])
   "windows-1252" #((.encode "Grüße" "cp1252")   ["bad.txt is not UTF-8" "byte 2 is 0xfc"])
   "utf-16"       #((.encode "abc\n" "utf-16")   ["bad.txt is binary"])
   "half-a-letter" #(b"ab\xc3"                   ["bad.txt is not UTF-8" "byte 2"])})

(defn [(pytest.mark.parametrize "kind" BAD-TEXTS)] test-a-text-that-cannot-be-read [ask kind]
  (setv [content parts] (get BAD-TEXTS kind))
  (when content
    (with [file (open "bad.txt" "wb")]
      (.write file content)))
  (refused (ask "train" "bad.txt") #* parts)
  (refused (ask "sample" "--prompt-file" "bad.txt") #* parts)
  (refused (ask "eval" "bad.txt") (get parts 0)))

(defn test-an-empty-text [ask tmp-path]
  (.touch (/ tmp-path "bad.txt"))
  (for [command ["train" "eval"]]
    (refused (ask command "bad.txt") "bad.txt is empty" "name a text"))
  (well (ask "sample" "--prompt-file" "bad.txt" "--max-new-tokens" 3)))    ; as good as no prompt

(defn test-a-folder-is-no-text [ask]
  (refused (ask "train" "runs") "runs is a folder" "name a file in it"))

(defn test-names-that-would-break-the-line [ask]
  (refused (ask "train" "a\0b") "is no file name" "name another")
  (refused (ask "train" "no\nsuch\x1b[2Jfile") r"no\nsuch\x1b[2Jfile"))

(setv SHORT-TEXTS [#(5 16 "training" 4 None) #(12 16 "training" 10 1) #(100 16 "validation" 10 9)
                   #(300 64 "validation" 30 29) #(40 8 "validation" 4 3)])

(defn [(pytest.mark.parametrize #("characters" "block" "part" "tokens" "fits") SHORT-TEXTS)]
  test-a-text-that-is-too-short [ask tmp-path characters block part tokens fits]
  (.write-text (/ tmp-path "short.txt") (cut (* "the cat sat on a mat; " 20) characters))
  (setv said (ask "train" "short.txt" #* (quick "--block-size" block))
        way-out (advice (line-of said) r"--block-size \d+"))
  (refused said f"the {part} part of short.txt has {tokens} tokens"
           f"fewer than block-size {block} + 1" "a longer text")
  (assert (= way-out (if fits ["--block-size" (str fits)] [])))
  (when way-out
    (well (ask "train" "short.txt" #* (quick #* way-out)))))


;;; Options, presets, keys

(defn test-heads-share-the-channels [ask]
  (for [[n-embd near] [[1 4] [10 8] [3 4] [31 32] [33 32]]]
    (setv said (train ask #* (quick "--n-embd" n-embd "--n-head" 4)))
    (refused said f"--n-embd {n-embd} is not divisible by --n-head 4" f"try --n-embd {near}"))
  (well (train ask #* (quick "--n-embd" near "--n-head" 4))))

(setv MISSPELT [#(["train" "ab.txt" "--n-layr" 2]      "--n-layr" "--n-layer")
                #(["train" "ab.txt" "--learningrate" 2] "--learningrate" "--learning-rate")
                #(["train" "ab.txt" "--n_layers" 2]    "--n_layers" "--n-layer")
                #(["sample" "--temprature" 1]          "--temprature" "--temperature")
                #(["eval" "--chkpt" "runs/ab"]         "--chkpt" "--ckpt")
                #(["data" "ab" "--ouut" "x.txt"]       "--ouut" "--out")
                #(["trian" "ab.txt"]                   "trian" "train")
                #(["data" "abb"]                       "abb" "ab")
                #(["train" "ab.txt" "--preset" "lectur"] "lectur" "lecture")
                #(["train" "ab.txt" "--stage" "residul"] "residul" "residual")
                #(["train" "ab.txt" "--activation" "rleu"] "rleu" "relu")
                #(["sample" "--unknown" "skp"]         "skp" "skip")])

(defn [(pytest.mark.parametrize #("words" "wrong" "right") MISSPELT)]
  test-the-nearest-name [ask words wrong right]
  (refused (ask #* words) wrong f"did you mean {right}?"))

(setv UNLIKE [#(["train" "ab.txt" "--zzz" 2]           ["no option --zzz" "train --help"])
              #(["train" "ab.txt" "--vocab-size" 3]    ["no option --vocab-size"])
              #(["qqq"]                                ["no command qqq" "train, sample, eval"])
              #(["prepare" "ab.txt" "--out" "x"]       ["no option --out" "OUT is given"])
              #(["prepare" "ab.txt" "--out=x"]         ["no option --out: OUT is given"])
              #(["--zzz"]                              ["no option --zzz" "nanogpt-hy --help"])
              #(["train"]                              ["train needs TEXT" "train --help"])
              #(["data" "ab"]                          ["data ab needs --out" "--help"])
              #(["train" "ab.txt" "more"]              ["no place for more" "leave it out"])
              #(["sample" "runs/ab"]                   ["or write --ckpt runs/ab"])
              #(["inspect" "loss" "--baby"]            ["keeps no curves"])
              #(["show" "stage"]                       ["Give its name too: stage.residual"])
              #(["train" "ab.txt" "--" "more"]         ["no place for more: leave it out"])
              #(["train" "ab.txt" "--bias" "maybe"]    ["--bias takes no value" "leave maybe"])
              #(["train" "ab.txt" "--seed"]            ["--seed needs a value" "--help"])
              #(["sample" "--prompt" "-x"]             ["--prompt needs a value" "--prompt=-x"])
              #(["ladder" "--diff" "residual"]         ["--diff needs 2 values" "--help"])
              #(["train" "ab.txt" "--seed" 1 "--seed" 2] ["--seed is given twice" "once"])
              #(["train" "ab.txt" "--out" ""]          ["--out is empty" "the name of a file"])
              #(["train" ""]                           ["TEXT is empty" "the name of a file"])
              #(["lesson" "1" "--exercise="]           ["--exercise is empty"])
              #(["train" "ab.txt" "--resume=3"]        ["--resume is 3" "true or false"])
              #(["train" "ab.txt" "--preset" "q"]      ["no preset q" (.join ", " PRESETS)])
              #(["train" "ab.txt" "--stage" "q"]       ["no stage" "q" "multi-head" "gpt"])
              #(["train" "ab.txt" "--tokenizer" "q"]   ["the tokenizer 'q'" "char, byte, bpe:N"])
              #(["train" "ab.txt" "--dtype" "int8"]    ["--dtype is int8" "float32 or"])
              #(["sample" "--prompt" "a" "--prompt-file" "-"] ["give one"])
              #(["sample" "--prompt" "" "--prompt-file" "-"]  ["give one"])])

(defn [(pytest.mark.parametrize #("words" "parts") UNLIKE)]
  test-words-out-of-place [ask words parts]
  (refused (ask #* words) #* parts))

(defn test-options-are-not-named-as-commands [ask]
  (assert (not-in "-h" (line-of (ask "qqq")))))

(defn test-a-number-has-no-nearest-word [ask]
  (assert (.endswith (line-of (ask "sample" "--top-k" "x")) "it has to be a whole number")))

(defn with-toml [ask text]
  "`train ab.txt --config`, the file having this TEXT, str or bytes."
  (with [file (open "my.toml" "wb")]
    (.write file (if (isinstance text str) (.encode text) text)))
  (train ask "--config" "my.toml"))

(setv BAD-TOMLS [#("n_layr = 2"            ["unknown key n_layr" "did you mean n_layer?"])
                 #("n-layer = 2"           ["unknown key n-layer" "did you mean n_layer?"])
                 #("vocab_size = 3"        ["key vocab_size" "the text decides it"])
                 #("qqq = 2"               ["unknown key qqq" "there are" "batch_size"])
                 #("[gpt]\nn_layer = 2"    ["unknown key gpt"])
                 #("bias = 1"              ["bias = 1" "true or false"])
                 #("activation = 'rleu'"   ["activation = 'rleu'" "gelu or gelu-tanh or relu"])
                 #("eval_iters = 'some'"   ["eval_iters = 'some'" "a whole number or auto or all"])
                 #("n_layer = 2.0"         ["n_layer = 2.0" "a whole number"])
                 #("n_layer = true"        ["n_layer = True" "a whole number"])
                 #("dropout = 1979-05-27"  ["dropout = " "a number"])
                 #("device = ['cpu']"      ["device = ['cpu']" "a string"])
                 #("n_layer = "            ["no TOML file" "mend it"])
                 #("n_layer = 1\nn_layer = 2" ["no TOML file"])
                 #((+ "seed = 0x" (* "f" 5000)) ["--seed" "thousands of digits" "at most"])
                 #((+ "learning_rate = " (* "9" 400)) ["--learning-rate" "a finite number"])
                 #((* "[" 5000)            ["no TOML file"])
                 #(b"\xff\xfe"             ["no TOML file"])])

(defn [(pytest.mark.parametrize #("text" "parts") BAD-TOMLS :ids (range (len BAD-TOMLS)))]
  test-a-settings-file-that-is-wrong [ask text parts]
  (refused (with-toml ask text) #* parts))

(defn test-a-settings-file-that-is-not-there [ask]
  (refused (train ask "--config" "no.toml") "there is no file no.toml" "check the name")
  (refused (train ask "--config" "runs") "runs is a folder"))

(defn test-the-settings-of-a-run-are-a-settings-file [ask]
  (well (train ask "--config" "runs/ab/config.toml"))
  (assert (= (. (open-model "runs/new") config) (. (open-model "runs/ab") config))))


;;; Numbers

(setv NUMBERS (lfor  f (.values FIELDS)  :if (or (of-kind 1 f.type) (of-kind 0.5 f.type))  f)
      BEYOND  {"at_least"  (fn [bound] (- bound 1))
               "more_than" (fn [bound] bound)
               "at_most"   (fn [bound] (+ bound 1))
               "less_than" (fn [bound] bound)})

(defn beyond [field]
  "-> [#(value bound)]: numbers just outside of FIELD's limits."
  (lfor  [limit bound] (.items (get field.metadata "limits"))
    #(((get BEYOND limit) bound) bound)))

(defn no-numbers [field]
  "Words that are no number for FIELD."
  (+ ["two" "1,5" "0x" "--" "½"] (if (of-kind 0.5 field.type) [] ["1.5" "2.0" "1e3" "nan" "inf"])))

(defn test-what-is-a-number []
  (for [x [0 -1.5 1e308]]
    (assert (finite x)))
  (for [x [True "1" None inf nan (** 10 400)]]
    (assert (not (finite x))))
  (for [x [0 7 (- (** 2 63) 1)]]
    (assert (whole x)))
  (for [x [True "1" None -1 1.0 (** 2 63)]]
    (assert (not (whole x)))))

(defn test-what-an-error-shows-is-not-long []
  (setv [fits cut-off] [(* "x" 70) (+ (* "x" 67) "...")])
  (assert (= fits (shown fits)))
  (assert (= cut-off (shown (* "x" 71)))))

(defn test-every-number-has-limits []
  (assert (> (len NUMBERS) 15))
  (for [field NUMBERS]
    (assert (beyond field) field.name)))

(setv each-number (pytest.mark.parametrize "field" NUMBERS :ids (lfor  f NUMBERS  f.name)))

(defn [each-number] test-numbers-beyond-their-limits [ask field]
  (setv option (option-name field.name))
  (for [[value bound] (beyond field)]
    (refused (train ask f"{option}={value}") f"{option} is {value}" "has to be" f"{bound :,}")
    (refused (with-toml ask f"{field.name} = {value}") f"{value}" "has to be"))
  (when (of-kind 0.5 field.type)
    (for [value ["nan" "inf" "-inf"]]
      (refused (train ask f"{option}={value}") f"{option} is {value}" "a finite number")
      (refused (with-toml ask f"{field.name} = {value}") f"{option} is {value}" "finite"))))

(defn [each-number] test-what-is-no-number [ask field]
  (setv option (option-name field.name)
        kind   (if (of-kind 0.5 field.type) "a number" "a whole number"))
  (for [word (no-numbers field)]
    (refused (train ask f"{option}={word}") f"{option} is {word}" f"has to be {kind}"))
  (refused (with-toml ask f"{field.name} = \"two\"") f"{field.name} = 'two'" f"has to be {kind}"))

(setv SAMPLE-NUMBERS [#("--temperature" "-1") #("--temperature" "nan") #("--temperature" "hot")
                      #("--top-k" "-1") #("--top-k" "1.5") #("--top-p" "0") #("--top-p" "1.1")
                      #("--top-p" "nan") #("--max-new-tokens" "-1") #("--max-new-tokens" "x")
                      #("--num-samples" "0") #("--seed" "-1") #("--seed" "4294967296")])

(defn [(pytest.mark.parametrize #("option" "value") SAMPLE-NUMBERS)]
  test-numbers-for-sampling [ask option value]
  (refused (ask "sample" f"{option}={value}") option value "has to be"))

(defn [(pytest.mark.parametrize #("option" "value") [
        #("--stay" "1.5") #("--stay" "nan") #("--stay" "-0.1") #("--length" "0") #("--length" "x")
        #("--lines" "-1") #("--seed" "-1") #("--lines" "2.5")])]
  test-numbers-for-data [ask option value]
  (refused (ask "data" "ab" "--out" "x.txt" f"{option}={value}") value))


;;; Devices and precision

(setv ABSENT (+ ["cuda:99" "toaster" "cuda:x" "meta"]
                (if (torch.cuda.is-available) [] ["cuda"])
                (if (torch.backends.mps.is-available) [] ["mps"])))

(defn [(pytest.mark.parametrize "name" ABSENT)] test-a-device-that-is-not-there [ask name]
  (for [words [["train" "ab.txt"] ["sample"] ["eval"]]]
    (refused (ask #* words "--device" name) f"--device {name}" "this machine has cpu")))

(defn test-half-precision-needs-a-gpu [ask]
  (refused (train ask "--device" "cpu" "--dtype" "float16")
           "float16 needs a CUDA GPU" "use bfloat16 or float32"))


;;; Prompts

(defn test-characters-the-model-never-saw [ask tmp-path]
  (setv parts ["the model never saw" "'?' at 1" "'ß' at 3" "counted from 0" "--unknown skip"])
  (.write-text (/ tmp-path "prompt") "a?bß?" :encoding "utf-8")
  (refused (ask "sample" "--prompt" "a?bß?") #* parts)
  (refused (ask "sample" "--prompt-file" "prompt") #* parts)
  (refused (ask "sample" "--prompt" "xyz123!") "'x' at 0" "and 2 more")
  (refused (ask "sample" "--prompt" "a\udcff") "at 1"))       ; a byte of the shell that is no UTF-8

(defn test-unknown-characters-can-be-left-out [ask]
  (setv how ["--max-new-tokens" 20 "--seed" 1]
        plain (ask "sample" "--prompt" "ab" #* how))
  (well plain)
  (assert (= plain.out (. (ask "sample" "--prompt" "a?bß" "--unknown" "skip" #* how) out))))


;;; Checkpoints

(defn rewrite [change]
  "Let CHANGE make other bytes of BEST's."
  (with [file (open BEST "rb")]
    (setv data (.read file)))
  (with [file (open BEST "wb")]
    (.write file (change data))))

(defn settings-of [#** lies]
  "A change of a checkpoint's header: it says these things of the model, and looks honest."
  (fn [] (tampered-here (fn [head meta] (.update (get meta "config") lies)))))

(defn says [#** lies]
  "A change of a checkpoint's header: it says these things of itself, and looks honest."
  (fn [] (tampered-here (fn [head meta] (.update meta lies)))))

(defn tampered-here [change [honest True]]
  (tampered (Path BEST) change honest))

(defn turned [head meta]
  "The first table's shape the other way round: the bytes still fit."
  (setv entry (next (gfor  e (.values head)  :if (= (len (set (.get e "shape" []))) 2)  e)))
  (.reverse (get entry "shape")))

(defn not-finite []
  (setv [tensors meta] (load-checkpoint BEST)
        name (next (iter tensors)))
  (.fill- (get tensors name) inf)
  (save-checkpoint BEST tensors meta))

(defn strangers []
  (safetensors.torch.save-file {"x" (torch.zeros 3)} BEST))

(setv DAMAGED
  {"missing"        #((fn [] (os.remove BEST))                          ["does not exist"])
   "empty"          #((fn [] (rewrite (fn [d] b"")))                    ["is empty"])
   "5-bytes"        #((fn [] (rewrite (fn [d] (cut d 5))))              ["only 5 bytes"])
   "half-a-header"  #((fn [] (rewrite (fn [d] (cut d 200))))            ["is cut short"])
   "half"           #((fn [] (rewrite (fn [d] (cut d (// (len d) 2))))) ["is cut short"])
   "one-byte-short" #((fn [] (rewrite (fn [d] (cut d -1))))             ["is cut short"])
   "one-byte-long"  #((fn [] (rewrite (fn [d] (+ d b"x"))))             ["bytes follow"])
   "text"           #((fn [] (rewrite (fn [d] b"abbb\naabb\nabab")))    ["is a text file"])
   "a-pickle"       #((fn [] (torch.save {"x" 1} BEST))                 ["torch pickle" "import"])
   "noise"          #((fn [] (rewrite (fn [d] (* b"\xa5\x00" 200))))    ["is not a .safetensors"])
   "a-stranger's"   #(strangers                          ["not one of nanogpt-hy" "import"])
   "a-fallen-bit"   #((fn [] (tampered-here (fn [h m] (setv (get m "step") 5)) False)) ["digest"])
   "not-finite"     #(not-finite                         ["not finite"])
   "another-shape"  #((fn [] (tampered-here turned))     ["has the shape" "instead of"])
   "more-layers"    #((settings-of :n-layer 2)           ["is missing"])
   "10^9-layers"    #((settings-of :n-layer (** 10 9))   ["claims n_layer 1000000000"])
   "no-layers"      #((settings-of :n-layer 0)           ["n_layer is 0"])
   "more-tokens"    #((settings-of :vocab-size 4)        ["3 characters" "vocab_size is 4"])
   "wider"          #((settings-of :n-embd 16)           ["has the shape"])
   "longer"         #((settings-of :block-size 17)       ["has the shape"])
   "text-for-a-size" #((settings-of :n-embd "8")         ["n_embd is '8'"])
   "a-list"         #((settings-of :n-embd [8])          ["list"])
   "odd-heads"      #((settings-of :n-head 3)            ["not divisible by --n-head 3"])
   "much-dropout"   #((settings-of :dropout 7)           ["--dropout is 7"])
   "unknown-bend"   #((settings-of :activation "evil")   ["activation = 'evil'" "has to be gelu"])
   "unknown-key"    #((settings-of :evil 1)              ["the setting evil" "does not know"])
   "unknown-stage"  #((says :stage "evil")               ["no stage" "evil"])
   "another-stage"  #((says :stage "bigram")             ["does not fit the model"])
   "no-such-tokens" #((says :tokenizer {"kind" "evil"})  ["evil"])
   "fewer-tokens"   #((says :tokenizer {"kind" "char"  "chars" ["a" "b"]}) ["2 characters"])
   "from-tomorrow"  #((says :format 2)                   ["format 2" "update"])})

(defn [(pytest.mark.parametrize "kind" DAMAGED)] test-a-checkpoint-that-is-not-right [ask kind]
  (setv [damage parts] (get DAMAGED kind))
  (damage)
  (refused (ask "sample" "--ckpt" BEST) #* parts)
  (refused (ask "eval" "--ckpt" BEST) #* parts)
  (refused (train ask "--init-from" BEST) #* parts))

(defn test-no-run-yet [ask tmp-path]
  (.rename (/ tmp-path "runs") (/ tmp-path "elsewhere"))
  (for [command ["sample" "eval"]]
    (refused (ask command) "runs holds no run" "train first"))
  (refused (ask "sample" "--ckpt" "elsewhere") "holds no best.safetensors"))

(defn [(pytest.mark.parametrize "data" [{} {"path" None} {"path" 5} {"path" []} {"path" "gone.txt"}
                                        {"path" "a\0b"} {"path" "runs"} {"path" "ab.txt/x"}
                                        {"path" "ab.txt"  "starts" 3}
                                        {"path" "ab.txt"  "starts" {"a" -1  "bb" 2  "?" "x"}}])]
  test-lies-about-the-data [ask data]
  ((says :data data))
  (well (ask "sample" "--ckpt" BEST "--max-new-tokens" 5))
  (if (= (.get data "path") "ab.txt")
    (well (ask "eval" "--ckpt" BEST))
    (refused (ask "eval" "--ckpt" BEST) "name a")))

(defn change-last [change]
  "Let CHANGE edit the tensors and the metadata of LAST."
  (setv [tensors meta] (load-checkpoint LAST))
  (change tensors meta)
  (save-checkpoint LAST tensors meta))

(defn progress-is [#** lies]
  (fn [tensors meta] (.update (get meta "progress") lies)))

(defn without [part]
  "A change that takes out the tensors whose names contain PART."
  (fn [tensors meta]
    (for [name (list tensors)  :if (in part name)]
      (del (get tensors name)))))

(defn turned-moments [tensors meta]
  (for [[name t] (.items tensors)]
    (when (and (.startswith name "optimizer.") (> t.ndim 1))
      (setv (get tensors name) (.flatten t)))))

(defn half-a-generator [tensors meta]
  (setv name "generator.batches"
        (get tensors name) (cut (get tensors name) 100)))

(setv BAD-RECORDS
  {"no-progress"      (fn [tensors meta] (del (get meta "progress")))
   "no-object"        (fn [tensors meta] (setv (get meta "progress") [1]))
   "text-for-seconds" (progress-is :seconds "long")
   "negative"         (progress-is :tokens -5)
   "no-best"          (progress-is :best 3)
   "half-a-best"      (progress-is :best {"val_loss" 0.5})
   "text-for-best"    (progress-is :best {"val_loss" "low"  "step" 2})
   "no-generators"    (without "generator")
   "half-a-generator" half-a-generator
   "no-number-of-us"  (progress-is :seconds (** 10 400))
   "seconds-for-ever" (progress-is :seconds 1e308)
   "a-zero-generator" (fn [tensors meta] (.zero- (get tensors "generator.default.cpu")))
   "nothing-drawn"    (fn [tensors meta]
                        (.update tensors {"ahead.0.0" (- (torch.ones 4 16 :dtype torch.long))
                                          "ahead.0.1" (torch.ones 4 16 :dtype torch.long)}))
   "no-moments"       (without "optimizer.")
   "other-moments"    turned-moments
   "no-seed"          (fn [tensors meta] (setv (get meta "train") {"seed" "x"}))})

(defn [(pytest.mark.parametrize "kind" BAD-RECORDS)] test-a-run-whose-record-is-damaged [ask kind]
  (change-last (get BAD-RECORDS kind))
  (refused (ask "train" "ab.txt" "--resume") LAST))

(defn test-a-lost-memory-of-the-optimizer-is-named [ask]
  (change-last (without "optimizer."))
  (refused (ask "train" "ab.txt" "--resume") LAST "memory is missing"))


;;; Where it is computed

(defn [(pytest.mark.parametrize #("name" "gpus" "words") [
        #("cuda" 0 "is not there: this machine has cpu")   #("cuda:7" 1 "is not there.*cpu, cuda:0")
        #("xyz" 1 "is not there")                          #("cuda" 1 "cannot be used now \\(")
        #("cuda:0" 1 "cannot be used now \\(")])]
      test-devices-that-cannot-be-used [name gpus words monkeypatch]
  "Tried on a build of torch without CUDA, where GPUs are there by name at most."
  (defn fails [#* shape #** how]
    (raise (RuntimeError f"CUDA error: {(get how "device")} is busy")))
  (.setattr monkeypatch torch "zeros" fails)
  (.setattr monkeypatch torch.cuda "device_count" (fn [] gpus))
  (with [_ (pytest.raises RequestError :match words)]
    (choose-device name)))

(defn test-a-full-gpu-is-no-damaged-record [ask monkeypatch]
  (defn fails [#* arguments]
    (raise (torch.OutOfMemoryError "CUDA out of memory. Tried to allocate 2 GiB")))
  (.setattr monkeypatch "nanogpt_hy.lab.training.resume.restore" fails)
  (assert (in "there is not enough memory" (line-of (ask "train" "ab.txt" "--resume") 1))))


;;; Where it is written

(defn test-a-file-in-the-way [ask tmp-path]
  (.touch (/ tmp-path "way"))
  (for [out ["way" "way/new" "ab.txt/x/y"]]
    (refused (ask "train" "ab.txt" "--out" out #* (quick))
             f"{out} cannot be written to (that is a file)" "another --out")))

(defn test-runs-is-a-file [ask tmp-path]
  (.rename (/ tmp-path "runs") (/ tmp-path "elsewhere"))
  (.touch (/ tmp-path "runs"))
  (refused (ask "train" "ab.txt" #* (quick)) "runs/ab cannot be written to" "another --out"))

(defn test-a-run-is-not-overwritten [ask tmp-path]
  (setv before (.read-bytes (/ tmp-path LAST)))
  (refused (ask "train" "ab.txt" "--out" "runs/ab" #* (quick))
           "runs/ab holds a run already" "--resume" "another --out")
  (assert (= before (.read-bytes (/ tmp-path LAST))))
  (well (ask "train" "ab.txt" #* (quick)))               ; without --out: a name of its own
  (assert (.exists (/ tmp-path "runs/ab-2/last.safetensors"))))

(defn [(pytest.mark.parametrize "name" ["config.toml" "metrics.jsonl"])]
      test-what-is-in-a-folder-is-not-overwritten [ask tmp-path name]
  "Whoever keeps his own config where the run is to be does not lose it."
  (.mkdir (/ tmp-path "mine"))
  (setv path (/ tmp-path "mine" name))
  (.write-text path "# mine\n")
  (refused (ask "train" "ab.txt" "--out" "mine" #* (quick))
           f"mine has no checkpoint, but {name}, which" "another --out")
  (assert (= "# mine\n" (.read-text path)))
  (assert (= [path] (list (.iterdir (/ tmp-path "mine"))))))

(defn test-all-that-is-left-of-a-run-is-named-at-once [ask tmp-path]
  (.mkdir (/ tmp-path "mine"))
  (for [name ["config.toml" "metrics.jsonl"]]
    (.write-text (/ tmp-path "mine" name) ""))
  (refused (ask "train" "ab.txt" "--out" "mine" #* (quick)) "but config.toml and metrics.jsonl"))

(setv where-folders-lock (pytest.mark.skipif (= os.name "nt") :reason "no locks of folders there"))

(defn [where-folders-lock] test-two-do-not-train-in-one-folder [ask]
  (with [_ (held (Path "runs/ab"))]
    (refused (ask "train" "ab.txt" "--resume") "another process is training in runs/ab"))
  (well (ask "train" "ab.txt" "--resume")))

(defn [where-folders-lock] test-two-do-not-begin-in-one-folder [ask tmp-path]
  "The second one is told before it writes anything there."
  (setv folder (/ tmp-path "runs/new"))
  (.mkdir folder)
  (with [_ (held folder)]
    (refused (train ask #* (quick)) "another process is training in runs/new"))
  (assert (= [] (list (.iterdir folder)))))

(defn test-two-that-begin-at-once-have-folders-of-their-own [ask tmp-path monkeypatch]
  "The other one comes while this one builds its model."
  (defn meanwhile [#* how #** options]
    (.mkdir (/ tmp-path "runs/ab-2"))
    (session.new-run #* how #** options))
  (monkeypatch.setattr commands "new_run" meanwhile)
  (well (ask "train" "ab.txt" #* (quick)))
  (assert (= [] (list (.iterdir (/ tmp-path "runs/ab-2")))))
  (assert (.exists (/ tmp-path "runs/ab-3/last.safetensors"))))

(defn test-an-empty-name-is-none [ask]
  (for [option ["--stage" "--preset" "--tokenizer"]]
    (refused (train ask f"{option}=") f"{option} is empty" "leave it out")))

(defn test-a-text-with-a-long-name [ask tmp-path]
  (setv name (+ (* "n" 251) ".txt"))
  (os.rename "ab.txt" name)
  (for [number ["" "-2"]]
    (well (ask "train" name #* (quick)))
    (assert (.exists (/ tmp-path "runs" f"{(* "n" 100)}{number}" "last.safetensors")))))

(defn test-data-is-not-overwritten [ask tmp-path]
  (setv before (.read-bytes (/ tmp-path "ab.txt")))
  (refused (ask "data" "ab" "--out" "ab.txt") "ab.txt is there already" "another file")
  (refused (ask "data" "ab" "--out" "runs") "runs is a folder" "add the name")
  (refused (ask "data" "ab" "--out" "no/such/x.txt") "no/such does not exist" "make it")
  (assert (= before (.read-bytes (/ tmp-path "ab.txt")))))

(defn full-after [monkeypatch count]
  "From the write number COUNT on the disk is full."
  (setv really os.fsync  calls [])
  (defn fsync [handle]
    (.append calls handle)
    (when (> (len calls) count)
      (raise (OSError errno.ENOSPC "No space left on device")))
    (really handle))
  (.setattr monkeypatch os "fsync" fsync))

(defn [(pytest.mark.parametrize "writes" [0 2 4 6])]
  test-a-full-disk [ask tmp-path monkeypatch writes]
  "Nothing half-written stays, and what was saved before can be used."
  (full-after monkeypatch writes)
  (setv said (train ask #* (quick))
        new (/ tmp-path "runs/new"))
  (assert (= said.code 1))
  (setv line (get (.splitlines said.err) -1))
  (for [part ["nanogpt-hy: cannot write runs/new" "No space left on device" "free some space"]]
    (assert (in part line)))
  (assert (= 1 (.count said.err "nanogpt-hy: ")))
  (assert (not-in "Traceback" said.err))
  (assert (not (list (.glob new ".*"))))
  (.undo monkeypatch)
  (for [name ["best" "last"]]
    (setv path (/ new f"{name}.safetensors"))
    (when (.exists path)
      (assert (open-model path)))))

(defn test-a-full-disk-while-resuming [ask tmp-path monkeypatch]
  (setv before (.read-bytes (/ tmp-path LAST)))
  (full-after monkeypatch 0)
  (refused (ask "train" "ab.txt" "--resume" "--max-iters" 8) "cannot write" "No space left"
           "the older one is still there" :code 1)
  (assert (= before (.read-bytes (/ tmp-path LAST)))))

(defn under-limit [blocks words]
  "The command WORDS as a process that may write no file of more than BLOCKS KiB. It holds its
  output back, as processes do."
  (setv command (+ f"ulimit -f {blocks}; unset PYTHONUNBUFFERED; "
                   f"exec {sys.executable} -m nanogpt_hy {words}"))
  (subprocess.run ["bash" "-c" command] :stderr subprocess.PIPE :text True))

(defn test-a-file-that-may-not-grow [home tmp-path monkeypatch]
  "The system's own refusal."
  (settle home tmp-path monkeypatch)
  (setv words (.join " " (map str (quick "--n-embd" 32)))
        found (under-limit 8 f"train ab.txt {words}"))
  (assert (= found.returncode 1) found.stderr)
  (assert (in "nanogpt-hy: cannot write runs/ab-2/best.safetensors (File too large)" found.stderr))
  (assert (not-in "Traceback" found.stderr)))

(defn test-output-that-nobody-can-take [home tmp-path monkeypatch]
  (settle home tmp-path monkeypatch)
  (setv found (under-limit 1 "sample --prompt abbb --num-samples 200 --max-new-tokens 9 > out.txt"))
  (assert (= found.returncode 1) found.stderr)
  (assert (= found.stderr (+ "nanogpt-hy: the output cannot be written (File too large): "
                             "send it to another place\n"))))

(defn [(pytest.mark.skipif (not (os.path.exists "/dev/full")) :reason "no such device here")]
      test-a-word-that-nobody-can-take [tmp-path]
  "It is still held back when the command is done."
  (setv found (under-limit "unlimited" f"data ab --lines 5 --out {tmp-path}/x.txt > /dev/full"))
  (assert (= found.returncode 1) found.stderr)
  (assert (= found.stderr (+ "nanogpt-hy: the output cannot be written (No space left on device): "
                             "send it to another place\n"))))

(defn test-not-enough-memory [ask monkeypatch]
  (defn Run [#* arguments #** more]
    (raise (RuntimeError (+ "[enforce fail at alloc_cpu.cpp:124] data. DefaultCPUAllocator: "
                            "can't allocate memory: you tried to allocate 10 bytes."))))
  (.setattr monkeypatch session "Run" Run)
  (refused (train ask) "not enough memory" "smaller --batch-size" :code 1))


;;; Going on, and beginning from weights

(defn test-resuming-with-another-text [ask tmp-path]
  (.write-text (/ tmp-path "other.txt") (* "ab\n" 1000))
  (.write-text (/ tmp-path "strange.txt") (* "xyz\n" 1000))
  (for [[text characters] [["other.txt" 3000] ["strange.txt" 4000]]]
    (refused (ask "train" text "--resume") "another text" "runs/ab was trained on ab.txt (2700 char"
             f"{text} ({characters})" "without --resume"))
  (refused (ask "train" "no.txt" "--resume") "there is no file no.txt"))

(setv OTHERS [#(["--n-layer" 2]             ["--n-layer was 1, not 2"])
              #(["--n-embd" 16 "--n-head" 4] ["--n-embd was 8, not 16" "--n-head was 2, not 4"])
              #(["--block-size" 8]          ["--block-size was 16, not 8"])
              #(["--seed" 5]                ["--seed was 1337, not 5"])
              #(["--draws" "published"]     ["--draws was named, not published"])
              #(["--decay" "all"]           ["--decay was matrices, not all"])
              #(["--stage" "gpt"]           ["--stage was fast, not gpt"])
              #(["--stage" "gpt" "--seed" 5 "--bias"] ["--stage was" "--seed was"])
              #(["--preset" "lecture"]      ["--n-layer was 1, not 3"])
              #(["--tokenizer" "byte"]      ["--tokenizer was char, not byte"])
              #(["--tokenizer" "bpe:300"]   ["--tokenizer was char, not bpe:300"])])

(defn test-resuming-with-a-tokenizer-that-there-is-not [ask]
  (for [name ["nonsense" "bpe:x" "char:2"]]
    (refused (ask "train" "ab.txt" "--resume" "--tokenizer" name) f"the tokenizer '{name}'"))
  (well (ask "train" "ab.txt" "--resume" "--tokenizer" "char")))

(defn [(pytest.mark.parametrize #("options" "parts") OTHERS)]
  test-resuming-with-other-settings [ask options parts]
  (refused (ask "train" "ab.txt" "--resume" #* options) "cannot resume with" "without --resume"
           #* parts))

(defn test-the-batch-that-was-drawn-ahead-may-have-another-size [ask]
  "The published order draws it before the checkpoint is written; later ones have the new size."
  (well (train ask "--draws" "published" #* (quick)))
  (well (ask "train" "ab.txt" "--out" "runs/new" "--resume" "--batch-size" 6 "--max-iters" 8)))

(defn test-the-first-command-resumes-too [ask]
  "With --resume behind it, the command that began a run goes on with it, whatever its preset."
  (well (train ask "--preset" "lecture" "--stage" "bigram" "--max-iters" 1 "--eval-iters" 1))
  (setv said (train ask "--preset" "lecture" "--stage" "bigram" "--max-iters" 2 "--eval-iters" 1
                    "--resume"))
  (well said)
  (assert (in "every 300 steps" said.err))         ; the bigram's, where the preset's own is 500
  (assert (in "goes on at step 1" said.err)))

(defn test-nothing-to-resume [ask tmp-path]
  (refused (ask "train" "ab.txt" "--out" "runs/no" "--resume")
           "runs/no holds no run" "leave out --resume")
  (os.remove LAST)
  (refused (ask "train" "ab.txt" "--out" "runs/ab" "--resume") "no last.safetensors")
  (os.rename "runs" "elsewhere")
  (refused (ask "train" "ab.txt" "--resume") "runs holds no run" "train first"))

(defn test-beginning-from-weights [ask tmp-path]
  (.write-text (/ tmp-path "other.txt") (+ (* "ab\n" 100) "x?ab\n"))
  (refused (ask "train" "other.txt" "--init-from" "runs/ab")
           "other.txt has characters" "'x' at 300, '?' at 301" "take them out")
  (for [[words parts]
        [[["--n-layer" 5] ["runs/ab/best.safetensors has --n-layer 1, not 5" "leave it out"]]
         [["--block-size" 8] ["has --block-size 16, not 8"]]
         [["--stage" "gpt"] ["--init-from brings its own --stage"]]
         [["--tokenizer" "char"] ["--init-from brings its own --tokenizer"]]
         [["--resume"] ["--resume goes on with a run, --init-from begins one"]]]]
    (refused (train ask "--init-from" "runs/ab" #* words) #* parts))
  (refused (train ask "--init-from" "runs/no") "runs/no does not exist")
  (well (train ask "--init-from" "runs/ab" "--max-iters" 2 "--n-layer" 1)))

(defn test-options-are-held-against-the-weights-not-the-preset [ask]
  "48 channels are divisible by 6 heads; those of the preset are not."
  (setv short ["--max-iters" 1 "--eval-iters" 1])
  (well (train ask "--n-embd" 48 "--n-head" 6 #* short))
  (well (ask "train" "ab.txt" "--out" "runs/next" "--init-from" "runs/new" "--n-head" 6 #* short)))


;;; Anything

(setv TOML "block_size = 16\nn_layer = 1\nn_head = 2\nn_embd = 8\ndropout = 0.1\nbias = true
activation = \"gelu\"\neval_iters = \"all\"\nlearning_rate = 1e-3\nmin_lr = 0.0001\ndevice = \"cpu\"
seed = 1337 # why not\ndtype = \"auto\"\ngrad_clip = 1.0\n"
      PIECES ["" "-" "_" "." "e9" "0" "9" "1e400" "nan" "inf" "\"" "'" "[" "]" "{" "}" "=" "\n" "#"
              "true" "ä" "\0" "\x1b[31m" "0x" "n_layer = 7" "1979-05-27" "," "\\u0000" "x"]
      edits (st.lists (st.tuples (st.integers 0 (len TOML)) (st.integers 0 4)
                                 (| (st.sampled-from PIECES) (st.text :max-size 3)))
                      :min-size 1 :max-size 4)
      unhurried (settings :max-examples 150 :deadline None
                          :suppress-health-check [HealthCheck.function-scoped-fixture]))

(defn edited [text changes]
  "TEXT with CHANGES, #(place length piece): what is there is replaced by the piece."
  (for [[place length piece] changes]
    (setv text (+ (cut text place) piece (cut text (+ place length) None))))
  text)

(defn no-training [monkeypatch]
  "From here on a training ends where its model would be made."
  (defn Run [#* arguments #** more]
    (raise (WorkError "so far, so good: it would train now")))
  (.setattr monkeypatch session "Run" Run))

(defn one-line-at-most [said]
  "Assert that SAID is a refusal, or what no-training says."
  (refused said :code (if (in "so far, so good" said.err) 1 2)))

(defn test-any-small-edit-of-a-settings-file [ask monkeypatch]
  (no-training monkeypatch)
  (refused (with-toml ask TOML) "so far, so good" :code 1)
  (defn [unhurried (given edits) (example [#(0 0 "\ufeff")])] each [changes]
    (one-line-at-most (with-toml ask (.encode (edited TOML changes) "utf-8" "surrogatepass"))))
  (each))

(defn test-any-small-edit-of-a-command [ask monkeypatch]
  (no-training monkeypatch)
  (setv words (lfor  word (quick "--preset" "ab" "--stage" "gpt")  (str word)))
  (defn [unhurried (given (st.integers 0 (- (len words) 1)) edits)] each [place changes]
    (setv other (.copy words)
          near  (lfor  [at length piece] changes  #((% at 12) length piece))
          (get other place) (edited (get words place) near))
    (when (not-in (get other place) ["--help" "-h" "--version"])
      (one-line-at-most (ask "train" "ab.txt" #* other))))
  (each))

(defn test-any-small-damage-to-a-checkpoint [ask]
  (with [file (open BEST "rb")]
    (setv whole (.read file)))
  (defn [unhurried (given (st.integers 0 (- (len whole) 1)) (st.binary :max-size 3))]
    each [place piece]
    (with [file (open BEST "wb")]
      (.write file (+ (cut whole place) piece (cut whole (+ place (len piece)) None))))
    (setv said (ask "sample" "--ckpt" BEST "--max-new-tokens" 1))
    (cond
      (= said.code 0) None                               ; some bits of some weights are others
      (= said.code 1) (refused said "not finite" :code 1)        ; and far too large
      True            (refused said BEST)))
  (each))
