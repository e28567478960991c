"A trained model, ready for use: out of a checkpoint, with its tokenizer and its story."

(import  dataclasses [dataclass]
         pathlib [Path]
         nanogpt-hy.config [GPTConfig read-config]
         nanogpt-hy.lab.checkpoints.checkpoint [checkpoint-path load-checkpoint newest-checkpoint
                                                restore-model]
         nanogpt-hy.lab.data.tokenizers [tokenizer-from]
         nanogpt-hy.ladder [build-model])

(defclass [(dataclass :frozen True)] Trained []
  "What a checkpoint holds."
  #^ Path path
  #^ object model
  #^ object tokenizer
  #^ GPTConfig config
  #^ dict meta)

(defn open-model [[path None] * [device "cpu"]]
  "The Trained model of the checkpoint PATH, a file or a run's folder; None means the newest run."
  (setv path (if path (checkpoint-path path) (newest-checkpoint))
        [tensors meta] (load-checkpoint path)
        config (read-config GPTConfig (get meta "config") f"{path}")
        make (fn [] (build-model (get meta "stage") config))
        model (restore-model make tensors :device device))
  (.eval model)
  (Trained path
           model
           (tokenizer-from (get meta "tokenizer") :vocab-size config.vocab-size :source f"{path}")
           config
           meta))
